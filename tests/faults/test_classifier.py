"""The trials' judge: each way to end is told from the others."""

import signal

import pytest
from conftest import run

from faults.fault import Fault, Outcome, attempt, classify
from faults.place import Place

TRACEBACK = "Traceback (most recent call last):\n  File x\nValueError: bad\n"


@pytest.mark.parametrize(
    "code, err, words, outcome",
    [
        (0, "note: a thing\n", (), Outcome.OK),
        (1, "evaluate: /x/config.json: expected JSON\n", ("config.json",), Outcome.LINE),
        (1, "note: x\nevaluate: expected\n", (), Outcome.LINE),
        (1, TRACEBACK, (), Outcome.TRACEBACK),
        (1, TRACEBACK + "evaluate: it failed\n", (), Outcome.TRACEBACK),
        (0, TRACEBACK + "and went on\n", (), Outcome.TRACEBACK),
        (-signal.SIGBUS, "", (), Outcome.SIGNAL),
        (-signal.SIGKILL, "evaluate: x\n", (), Outcome.SIGNAL),
        (-signal.SIGALRM, "50/100 images\n", (), Outcome.HANG),
        (-signal.SIGXCPU, "50/100 images\n", (), Outcome.HANG),
        (1, "evaluate: something\n", ("config.json",), Outcome.UNCLEAR),
        (1, "config.json is bad\n", ("config.json",), Outcome.UNCLEAR),
        (1, "", (), Outcome.UNCLEAR),
        (1, "evaluate: an error of the program: KeyError: x", ("x",), Outcome.TRACEBACK),
        (1, "W0000 00:00 op_kernel failed\nevaluate: x\n", (), Outcome.UNCLEAR),
        (1, "a.py:3: RuntimeWarning: overflow\nevaluate: x\n", (), Outcome.UNCLEAR),
        (1, f"evaluate: {'x' * 2000}\n", (), Outcome.UNCLEAR),
    ],
)
def test_an_end_is_told_by_code_and_words(code, err, words, outcome):
    assert classify("evaluate", code, err, words).outcome is outcome


def _place(tmp_path, *results):
    """A place whose commands end as given: (code, standard error)."""

    class Result:
        def __init__(self, code, err):
            self.returncode, self.stderr, self.stdout = code, err, ""

    place = Place(tmp_path, None)
    answers = iter(results)
    place.run_command = lambda *_, **__: Result(*next(answers))
    return place


def test_what_is_wrong_afterwards_counts(tmp_path):
    def fails(_):
        raise AssertionError("3 in place of 4")

    fault = Fault("x", "k", ("evaluate",), Outcome.OK, check=fails)
    trial = attempt(fault, _place(tmp_path, (0, "")))
    assert (trial.outcome, trial.said) == (Outcome.WRONG, "3 in place of 4")
    fault = Fault("x", "k", ("evaluate",), Outcome.LINE, after=("evaluate",))
    assert attempt(fault, _place(tmp_path, (1, "evaluate: x"), (0, ""))).outcome is Outcome.LINE
    trial = attempt(fault, _place(tmp_path, (1, "evaluate: x"), (1, "evaluate: y")))
    assert (trial.outcome, trial.said) == (Outcome.WRONG, "evaluate afterwards: evaluate: y")
    # What should have failed and did not is judged by the row: it expects a line.
    assert attempt(fault, _place(tmp_path, (0, ""))).outcome is Outcome.OK


@pytest.mark.parametrize(
    "end, outcome",
    [
        ("raises", Outcome.TRACEBACK),
        ("waits", Outcome.HANG),
        ("computes", Outcome.HANG),
        ("dies", Outcome.SIGNAL),
        ("says", Outcome.LINE),
        ("writes", Outcome.TRACEBACK),  # more than its limit
    ],
)
def test_real_processes_are_judged(end, outcome, tmp_path):
    seconds = 2 if end == "waits" else 60
    limits = {"RLIMIT_FSIZE": 4096, "RLIMIT_CPU": 1}
    result = run("-m", "tests.faults.ends", end, tmp_path / "x", timeout=seconds, limits=limits)
    assert classify("ends", result.returncode, result.stderr).outcome is outcome, result.stderr
