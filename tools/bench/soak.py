"""Sends a server of an exported model good and bad requests from many clients at once.

    python -m tools.bench.soak --target=localhost:8500 --pid=PID --seconds=1800

Every client asks for samples, scores, reconstructions and codes, and sends what has to be refused.
An answer has to be the one of the first time; a bad request has to be refused. Each --every seconds
the tool prints a line: the seconds so far, and of the good and of the bad requests of that time
their number, their median latency and the latency that 99% of them stay below, in milliseconds;
with --pid also the memory of the server's process in megabytes. As the last line it prints one JSON
object. The exit code is 0 only if there was no wrong answer.
"""

import dataclasses
import json
import random
import sys
import threading
import time
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path

import numpy as np

from biva_tf.commands.start import start
from biva_tf.errors import SettingsError
from biva_tf.serving import checks
from biva_tf.settings import Settings, setting

_BAD = 3  # one of so many requests


@dataclasses.dataclass(frozen=True)
class SoakSettings(Settings):
    """The settings of `python -m tools.bench.soak`."""

    target: str | None = setting(None, "host:port of the gRPC API.")
    rest: str | None = setting(None, "host:port of the REST API.")
    model_name: str = setting("biva", "The name that the server gives the model.")
    classes: int = setting(0, "The classes of the model; 0 if it has none.", lower=0)
    pid: int | None = setting(None, "The server's process, whose memory is printed.", lower=1)
    clients: int = setting(8, "Clients that send requests at once.", lower=1)
    seconds: float = setting(1800.0, "How long.", lower=0.1)
    every: float = setting(30.0, "Seconds between two lines.", lower=0.1)
    timeout: float = setting(60.0, "Seconds to wait for an answer.", lower=0.0)

    def __post_init__(self):
        super().__post_init__()
        if bool(self.target) == bool(self.rest):
            raise SettingsError("--target, --rest: expected one of them")

    def client(self) -> checks.Client:
        """A new client of the server."""
        options = self.model_name, self.timeout
        if self.target:
            return checks.GrpcClient(self.target, *options)
        return checks.RestClient(self.rest or "", *options)


@dataclasses.dataclass(frozen=True)
class SoakRequest:
    """A request.

    Attributes:
      name: what it asks for.
      signature, inputs: of `checks.Client.call`.
      answer: what comes; None for a request that has to be refused.
    """

    name: str
    signature: str
    inputs: checks.SignatureArrays
    answer: checks.SignatureArrays | None

    def wrong(self, client: checks.Client) -> str | None:
        """Sends it; what is wrong with what came, if anything."""
        try:
            found = client.call(self.signature, self.inputs)
        except checks.RefusedError as e:
            return None if self.answer is None else f"{self.name}: refused ({e})"
        except checks.FailedError as e:
            return f"{self.name}: {e}"
        if self.answer is None:
            return f"{self.name}: an answer, expected an error"
        return None if checks.close(found, self.answer) else f"{self.name}: another answer"


@dataclasses.dataclass(frozen=True)
class Latencies:
    """The seconds that each of some requests took."""

    seconds: tuple[float, ...]

    def milliseconds(self, percent: float) -> float:
        """The latency that so many percent of the requests stay below; 0 if there are none."""
        return 1000 * float(np.percentile(self.seconds, percent)) if self.seconds else 0.0

    def __str__(self) -> str:
        number, median, most = len(self.seconds), self.milliseconds(50), self.milliseconds(99)
        return f"{number} (median {median:.1f} ms, 99%: {most:.1f} ms)"


@dataclasses.dataclass(frozen=True)
class Interval:
    """What the clients saw between two lines.

    Attributes:
      seconds: since the start.
      good, bad: the latencies of the requests to be answered, and of those to be refused.
      wrong: what was wrong.
      megabytes: the memory of the server's process at the end; None if it is not known.
    """

    seconds: float
    good: Latencies
    bad: Latencies
    wrong: tuple[str, ...]
    megabytes: float | None

    def line(self) -> str:
        """The line about it."""
        memory = "" if self.megabytes is None else f"; {self.megabytes:.1f} MB"
        return f"{self.seconds:7.1f} s  good: {self.good}; bad: {self.bad}{memory}"


class _Seen:
    """What the clients have seen since it was last taken."""

    def __init__(self):
        self._lock = threading.Lock()
        self._records: list[tuple[float, bool, str | None]] = []

    def add(self, latency: float, is_bad: bool, wrong: str | None) -> None:
        with self._lock:
            self._records.append((latency, is_bad, wrong))

    def take(self, seconds: float, pid: int | None) -> Interval:
        with self._lock:
            records, self._records = self._records, []
        good, bad = (
            Latencies(tuple(latency for latency, is_bad, _ in records if is_bad is kind))
            for kind in (False, True)
        )
        wrong = tuple(text for _, _, text in records if text)
        return Interval(seconds, good, bad, wrong, memory(pid) if pid else None)


def memory(pid: int) -> float:
    """The megabytes of a process that are in memory; of a Linux machine.

    Raises:
      SettingsError: there is no such process here.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError as e:
        raise SettingsError(f"--pid={pid}: expected a process of this machine ({e})") from e
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def requests(client: checks.Client, classes: int) -> tuple[list[SoakRequest], list[SoakRequest]]:
    """The good requests, with the answers that the server gives now, and the bad ones."""
    sample = {"num_samples": np.int32(4), "temperature": np.float32(0.9), "seed": _seed(3)}
    if classes:
        sample["label"] = np.int32(-1)
    samples = client.call("sample", sample)
    images = (samples["images"] > samples["images"].mean()).astype(np.float32)
    score = {"images": images, "num_importance_samples": np.int32(3), "seed": _seed(1)}
    score["k"] = np.int32(1)
    png = {**score, "images_png": samples["images_png"]}
    del png["images"]
    codes = client.call("encode", {"images": images})
    good = {
        "sample": sample,
        "score": score,
        "score_numbered": {**score, "numbers": np.arange(len(images))[::-1]},
        "score_png": png,
        "reconstruct": {"images": images, "levels": np.int32(1), "seed": _seed(2)},
        "encode": {"images": images},
        "decode": codes,
    }
    expected = [
        SoakRequest(name, name, inputs, client.call(name, inputs)) for name, inputs in good.items()
    ]
    bad = checks.bad_requests(images, codes, sample)
    return expected, [SoakRequest(name, *what, None) for name, what in bad.items()]


def _seed(number: int) -> np.ndarray:
    return np.array([number, 0], np.int32)


def run(settings: SoakSettings) -> list[Interval]:
    """Sends the requests and prints the lines.

    Raises:
      SettingsError: there is no process --pid.
    """
    good, bad = requests(settings.client(), settings.classes)
    begin = time.perf_counter()
    seen, ended = _Seen(), threading.Event()
    intervals = []
    with futures.ThreadPoolExecutor(settings.clients) as executor:
        clients = [
            executor.submit(_send, settings, number, good, bad, seen, ended)
            for number in range(settings.clients)
        ]
        try:
            passed = 0.0
            while passed < settings.seconds:
                rest = min(settings.every, settings.seconds - passed)
                for client in futures.wait(clients, rest, futures.FIRST_EXCEPTION).done:
                    client.result()  # raises what ended it
                passed = time.perf_counter() - begin
                intervals.append(seen.take(passed, settings.pid))
                print(intervals[-1].line(), flush=True)
                for text in intervals[-1].wrong[:5]:
                    print(f"  wrong: {text}", file=sys.stderr)
        finally:
            ended.set()
    return intervals


def _send(
    settings: SoakSettings,
    number: int,
    good: Sequence[SoakRequest],
    bad: Sequence[SoakRequest],
    seen: _Seen,
    ended: threading.Event,
) -> None:
    """What a client does until the end."""
    client, choice = settings.client(), random.Random(number)
    while not ended.is_set():
        is_bad = choice.randrange(_BAD) == 0
        request = choice.choice(bad if is_bad else good)
        start_time = time.perf_counter()
        wrong = request.wrong(client)
        seen.add(time.perf_counter() - start_time, is_bad, wrong)


def summary(intervals: Sequence[Interval]) -> dict:
    """The values to print, by name; latencies and memory of the first and the last interval."""
    ends = {"first": intervals[0], "last": intervals[-1]}
    return {
        "good": sum(len(each.good.seconds) for each in intervals),
        "bad": sum(len(each.bad.seconds) for each in intervals),
        "wrong": sum(len(each.wrong) for each in intervals),
        **{
            f"{kind}_{quantile}_ms_{end}": round(latencies.milliseconds(percent), 2)
            for end, interval in ends.items()
            for kind, latencies in (("good", interval.good), ("bad", interval.bad))
            for quantile, percent in (("median", 50), ("p99", 99))
        },
        **{f"megabytes_{end}": interval.megabytes for end, interval in ends.items()},
    }


def _print(settings: SoakSettings) -> int:
    found = summary(run(settings))
    print(json.dumps(found))
    return 0 if found["good"] and found["bad"] and not found["wrong"] else 1


if __name__ == "__main__":
    start("soak", SoakSettings, _print)
