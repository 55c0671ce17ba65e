"""The soak of a served export: it finds wrong answers, and its figures are of what was sent."""

import json
import os

import numpy as np
import pytest

from biva_tf.errors import SettingsError
from biva_tf.serving import checks
from tools.bench import soak

_ANSWER = {"images": np.ones(3)}


class _Server:
    """A client of a server that answers `good`, and is wrong with one of `wrong_of` answers."""

    def __init__(self, wrong_of=0):
        self._calls, self._wrong_of = 0, wrong_of

    def call(self, signature, inputs):
        self._calls += 1
        wrong = self._wrong_of and self._calls % self._wrong_of == 0
        if (signature == "bad") != bool(wrong):
            raise checks.RefusedError("no")
        return _ANSWER


@pytest.fixture
def requests(monkeypatch):
    good, bad = (
        soak.SoakRequest("good", "good", {}, _ANSWER),
        soak.SoakRequest("bad", "bad", {}, None),
    )
    monkeypatch.setattr(soak, "requests", lambda client, classes: ([good], [bad]))


def _soaked(monkeypatch, server, **changes):
    monkeypatch.setattr(soak.SoakSettings, "client", lambda settings: server)
    settings = soak.SoakSettings(target="x", seconds=0.3, every=0.1, **changes)
    return soak.run(settings)


def test_a_server_that_answers_rightly_passes(requests, monkeypatch, capsys):
    intervals = _soaked(monkeypatch, _Server(), clients=3, pid=os.getpid())
    found = soak.summary(intervals)
    assert found["good"] == sum(len(each.good.seconds) for each in intervals) > 0
    assert found["bad"] == sum(len(each.bad.seconds) for each in intervals) > 0
    assert found["wrong"] == 0
    assert found["megabytes_last"] > 1
    line = capsys.readouterr().out.splitlines()[0]
    assert f"good: {len(intervals[0].good.seconds)} (median" in line
    assert f"bad: {len(intervals[0].bad.seconds)} (median" in line
    json.dumps(found)


def test_wrong_answers_are_counted(requests, monkeypatch, capsys):
    found = soak.summary(_soaked(monkeypatch, _Server(wrong_of=5), clients=1))
    assert 0 < found["wrong"] < found["good"] + found["bad"]
    assert "wrong: good: refused (no)" in capsys.readouterr().err


@pytest.mark.parametrize("answer", [{"images": np.zeros(3)}, {"image": np.ones(3)}])
def test_another_answer_is_wrong(answer):
    request = soak.SoakRequest("good", "good", {}, answer)
    assert request.wrong(_Server()) == "good: another answer"


def test_answers_of_bytes_are_compared():
    one, same, other = (
        {"images_png": np.array([content], object)} for content in (b"a", b"a", b"b")
    )
    assert checks.close(one, same)
    assert not checks.close(one, other)


def test_a_client_that_breaks_ends_the_soak(requests, monkeypatch):
    class Broken:
        def call(self, signature, inputs):
            raise TypeError("of the client")

    with pytest.raises(TypeError, match="of the client"):
        _soaked(monkeypatch, Broken(), clients=2)


def test_one_server_and_a_process_are_expected():
    with pytest.raises(SettingsError, match="--target, --rest: expected one of them"):
        soak.SoakSettings()
    with pytest.raises(SettingsError, match="--pid=999999999: expected a process"):
        soak.memory(999_999_999)
