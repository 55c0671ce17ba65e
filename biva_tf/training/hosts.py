"""The hosts of a run that share its batches: who they are, and whether they are there.

TensorFlow's own wait for a host has no limit that a user can set, and its errors do not say who is
missing. So every host first looks whether it can reach all the others.
"""

import contextlib
import dataclasses
import json
import os
import re
import socket
import time
from collections.abc import Iterator

import tensorflow as tf

from biva_tf.errors import Setting, SettingsError, UserError

_VARIABLE = "TF_CONFIG"
_BETWEEN_TRIES = 0.5  # seconds


class HostError(UserError, RuntimeError):
    """A host that is missing, or that was lost."""


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The hosts of a run.

    Attributes:
      addresses: HOST:PORT of each, the chief first.
      index: this host's index.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this host writes the run's folder."""
        return self.index == 0

    @classmethod
    def for_strategy(cls, strategy: str) -> "Hosts | None":
        """The hosts that TF_CONFIG names, if the strategy is one of several hosts.

        Raises:
          SettingsError: TF_CONFIG is wrong; the message says what was expected.
        """
        text = os.environ.get(_VARIABLE)
        if not text or strategy not in ("auto", "multi_worker"):
            return None
        expected = (
            f'{_VARIABLE}: expected {{"cluster": {{"worker": ["HOST:PORT", ...]}}, '
            '"task": {"type": "worker", "index": N}}'
        )
        try:
            config = json.loads(text)
            cluster, task = config["cluster"], config["task"]
            chiefs, workers = cluster.get("chief", []), cluster["worker"]
            addresses = (*chiefs, *workers)
            index = int(task["index"]) + (0 if task["type"] == "chief" else len(chiefs))
            roles = {"chief", "worker"}
            for address in addresses:
                _split(address)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise SettingsError(f"{expected}, got {text} ({e})") from e
        if not set(cluster) <= roles or task["type"] not in roles or len(chiefs) > 1:
            raise SettingsError(f"{expected}, got {text}")
        if not 0 <= index < len(addresses):
            raise SettingsError(f"{_VARIABLE}: expected the index of a worker, got {index}")
        return cls(addresses, index)

    def wait(self, seconds: float) -> None:
        """Waits until every host can be reached, or has been.

        Raises:
          HostError: some host cannot be reached within this many seconds; the message names them.
          SettingsError: the port of this host is taken.
        """
        missing = dict(enumerate(self.addresses))
        del missing[self.index]
        until = time.monotonic() + seconds
        with self._listening():
            while True:
                missing = {i: a for i, a in missing.items() if not _answers(a)}
                if not missing:
                    return
                if time.monotonic() > until:
                    named = ", ".join(f"worker {i} at {a}" for i, a in missing.items())
                    raise HostError(
                        Setting("host_timeout", f"{seconds:g}"),
                        f": this is worker {self.index} at {self.addresses[self.index]}; after "
                        f"{seconds:g} seconds there is no answer from {named}",
                    )
                time.sleep(_BETWEEN_TRIES)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Answers the other hosts, until TensorFlow's server does at the same address."""
        _, port = _split(self.addresses[self.index])
        try:
            listener = socket.create_server(("", port))
        except OSError as e:
            raise SettingsError(f"{_VARIABLE}: cannot listen at port {port} ({e})") from e
        with listener:
            yield


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host:
        raise ValueError(f"{address!r} is not HOST:PORT")
    return host, int(port)


def _answers(address: str) -> bool:
    try:
        with socket.create_connection(_split(address), timeout=2.0):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def lost_hosts_named(hosts: Hosts | None) -> Iterator[None]:
    """Turns TensorFlow's errors about a host that is gone into a HostError."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as e:
        if hosts is None:
            raise
        raise HostError(
            f"{_lost(hosts, str(e))} stopped. The same command on all hosts goes on from the last "
            "checkpoint"
        ) from e


def _lost(hosts: Hosts, message: str) -> str:
    """The host that TensorFlow's message names, as "/task:N"; it can also name this one."""
    named = {int(number) for number in re.findall(r"/task:(\d+)", message)} - {hosts.index}
    if len(named) == 1 and named < set(range(len(hosts.addresses))):
        (index,) = named
        return f"worker {index} at {hosts.addresses[index]}"
    return "another host"
