"""Runs on several hosts: two processes on this machine."""

import json
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, last_json, run, run_state, train_args

from biva_tf.errors import SettingsError
from biva_tf.training.hosts import HostError, Hosts, lost_hosts_named


def _ports(number):
    sockets = [socket.create_server(("localhost", 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _config(addresses, index, kind="worker"):
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": kind, "index": index}})


def test_hosts_are_those_of_the_environment(monkeypatch):
    addresses = ["a:1", "b:2"]
    monkeypatch.setenv("TF_CONFIG", _config(addresses, 1))
    assert (
        Hosts.for_strategy("auto") == Hosts.for_strategy("multi_worker") == Hosts(("a:1", "b:2"), 1)
    )
    assert Hosts.for_strategy("one_device") is Hosts.for_strategy("mirrored") is None
    with_chief = {"cluster": {"chief": ["c:0"], "worker": addresses}, "task": {}}
    for kind, index, expected in (("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)):
        with_chief["task"] = {"type": kind, "index": index}
        monkeypatch.setenv("TF_CONFIG", json.dumps(with_chief))
        hosts = Hosts.for_strategy("auto")
        assert hosts.addresses == ("c:0", "a:1", "b:2") and hosts.index == expected
        assert hosts.is_chief == (kind == "chief")
    monkeypatch.delenv("TF_CONFIG")
    assert Hosts.for_strategy("auto") is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {}}',
        _config(["a"], 0),
        _config(["a:b"], 0),
        _config(["a:1"], 1),
        _config(["a:1"], 0, "ps"),
    ],
)
def test_a_wrong_environment_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(SettingsError, match="TF_CONFIG: expected"):
        Hosts.for_strategy("auto")


@pytest.mark.parametrize(
    ("example", "environment", "index"),
    [
        ("kubernetes.yaml", {"JOB_COMPLETION_INDEX": "2"}, 2),
        ("slurm.sh", {"SLURM_PROCID": "1", "WORKERS": '"a:1","b:2"'}, 1),
    ],
)
def test_the_examples_make_the_environment(monkeypatch, example, environment, index):
    text = (ROOT / "configs" / example).read_text()
    (export,) = re.findall(r"(export TF_CONFIG=.*?\}\}\")", text, re.DOTALL)
    made = subprocess.run(
        ["bash", "-c", f'{export}\nprintf %s "$TF_CONFIG"'],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    monkeypatch.setenv("TF_CONFIG", made.stdout)
    hosts = Hosts.for_strategy("multi_worker")
    assert hosts.index == index and len(set(hosts.addresses)) == len(hosts.addresses) > index


def test_a_missing_host_is_named():
    here, there, missing = _ports(3)
    with socket.create_server(("localhost", there)):
        hosts = Hosts(tuple(f"localhost:{p}" for p in (here, there, missing)), 0)
        with pytest.raises(HostError) as error:
            hosts.wait(0.1)
    assert str(error.value).startswith("host_timeout=0.1: this is worker 0 at")
    assert str(error.value).endswith(f"no answer from worker 2 at localhost:{missing}")


def test_hosts_that_answer_are_not_waited_for():
    here, there = _ports(2)
    with socket.create_server(("localhost", there)):
        Hosts((f"localhost:{here}", f"localhost:{there}"), 0).wait(5)


def test_a_lost_host_is_named():
    hosts = Hosts(("a:1", "b:2"), 0)
    for message, said in (
        ("while calling /job:worker/replica:0/task:1 from /job:worker/task:0", "worker 1 at b:2"),
        ("connection reset", "another host"),
    ):
        with pytest.raises(HostError, match=f"^{said} stopped"), lost_hosts_named(hosts):
            raise tf.errors.UnavailableError(None, None, message)
    with pytest.raises(tf.errors.UnavailableError), lost_hosts_named(None):
        raise tf.errors.UnavailableError(None, None, "of a single host")


class _Pair:
    """Two processes of a run."""

    def __init__(self, model_dir, spec, *changes):
        addresses = [f"localhost:{port}" for port in _ports(2)]
        args = train_args(model_dir, spec, "--log_every=1", "--host_timeout=60", *changes)
        self.model_dir = model_dir
        self.processes = [
            subprocess.Popen(
                [sys.executable, *map(str, args)],
                cwd=ROOT,
                env={**_ENVIRONMENT, "TF_CONFIG": _config(addresses, index)},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for index in range(2)
        ]

    def wait_for_step(self, step):
        metrics = self.model_dir / "metrics.jsonl"
        while all(p.poll() is None for p in self.processes):
            if metrics.exists() and f'"step": {step},' in metrics.read_text():
                return
            time.sleep(0.02)

    def end(self):
        """(exit code, output, last line of errors) of each."""
        ended = []
        for process in self.processes:
            out, err = process.communicate(timeout=240)
            ended.append((process.returncode, out, (err.strip().splitlines() or [""])[-1]))
        return ended


_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "TF_NUM_INTRAOP_THREADS": "1"}


def _variables(model_dir):
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(model_dir / "checkpoints")))
    names = [n for n in reader.get_variable_to_shape_map() if n.startswith(("weights", "optim"))]
    return {name: reader.get_tensor(name) for name in names}


def _read_whole(checkpoint):
    reader = tf.train.load_checkpoint(str(checkpoint))
    assert all(reader.get_tensor(n) is not None for n in reader.get_variable_to_shape_map())


@pytest.mark.slow
def test_two_hosts_train_like_one_device(digits_json, tmp_path):
    """After five steps, and after going on for three: the losses, weights, slots and averages.

    The selected weights are damaged in between, and written again.
    """
    for steps in (5, 8):
        damaged = list(tmp_path.glob("*/weights/ckpt-5.data-*"))
        assert bool(damaged) == (steps == 8)
        for data in damaged:
            data.write_bytes(data.read_bytes()[:100])
        ended = _Pair(tmp_path / "two", digits_json, f"--steps={steps}").end()
        assert [code for code, *_ in ended] == [0, 0], ended
        args = train_args(tmp_path / "one", digits_json, "--log_every=1", f"--steps={steps}")
        one = run(*args)
        assert one.returncode == 0, one.stderr[-3000:]
        for name in ("one", "two"):
            assert tf.train.latest_checkpoint(str(tmp_path / name / "weights"))
            for path in (tmp_path / name / "weights").glob("ckpt-*.index"):
                _read_whole(path.with_suffix(""))
        for _, out, _ in ended:
            summary = last_json(out)
            assert summary["step"] == steps
            np.testing.assert_allclose(summary["elbo_nats"], last_json(one.stdout)["elbo_nats"])
        lines = [
            [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()]
            for name in ("one", "two")
        ]
        for a, b in zip(*lines, strict=True):
            assert a.keys() == b.keys() and a["step"] == b["step"]
            np.testing.assert_allclose(a["elbo"], b["elbo"], rtol=1e-5)
        expected, actual = (_variables(tmp_path / name) for name in ("one", "two"))
        assert expected.keys() == actual.keys()
        for name in expected:
            # The slots are gradients, which differ by more: they are sums over the rows.
            slot = name.split("/.")[0].endswith(("_v", "_m"))
            tolerance = 1e-4 if slot else 1e-5
            np.testing.assert_allclose(
                actual[name], expected[name], rtol=tolerance, atol=tolerance, err_msg=name
            )


@pytest.mark.slow
def test_stopped_hosts_go_on_like_hosts_that_were_not_stopped(digits_json, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    arguments = (digits_json, "--steps=80")
    assert [code for code, *_ in _Pair(whole, *arguments).end()] == [0, 0]

    pair = _Pair(stopped, *arguments)
    pair.wait_for_step(3)
    pair.processes[1].send_signal(signal.SIGTERM)  # the chief stops after the same step
    (code, _, chief), (other_code, _, other) = pair.end()
    assert code == other_code == 128 + signal.SIGTERM, (chief, other)
    assert "SIGTERM: stopped after step" in chief
    assert chief.split(". The same")[0] == other.split(". The same")[0]

    step = int(re.search(r"after step (\d+)", chief)[1])
    pair = _Pair(stopped, *arguments)
    pair.wait_for_step(step + 7)
    pair.processes[1].kill()
    (code, _, chief), (other_code, _, _) = pair.end()
    assert (code, other_code) == (1, -signal.SIGKILL)
    assert "stopped. The same command on all hosts goes on from the last checkpoint" in chief
    assert not (stopped / "summary.json").exists()

    assert [code for code, *_ in _Pair(stopped, *arguments).end()] == [0, 0]
    expected, actual = run_state(whole), run_state(stopped)
    assert expected.keys() == actual.keys()
    assert not [key for key in expected if expected[key] != actual[key]]
