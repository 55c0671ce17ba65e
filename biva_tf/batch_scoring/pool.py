"""A pool of processes that score parts, run by Ray Data: on this machine, or on a Ray cluster.

Ray gives each part to a process that is free. If a process dies, Ray starts another and gives it
the part again.
"""

import contextlib
import io
import logging
import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from biva_tf import quiet
from biva_tf.batch_scoring.parts import Part
from biva_tf.batch_scoring.scorer import PartScorer, Request
from biva_tf.errors import Setting, UserError

_OBJECT_STORE = 2**29  # bytes, of a local Ray: finished files wait there until they are written
_PACKAGE = Path(__file__).resolve().parents[2]


class PoolError(UserError, RuntimeError):
    """Ray cannot be reached, or has failed."""


class Worker:
    """A process of the pool, as Ray Data calls it: a dict in, a dict out."""

    def __init__(self, request: Request):
        self._scorer = PartScorer(request)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The part's file; or the pickled error if it cannot be made, without Ray's traceback."""
        part: Part = pickle.loads(row["part"])
        try:
            content, error = self._scorer.parquet(part), b""
        except UserError as e:
            content, error = b"", pickle.dumps(e)
        return {"index": part.index, "images": len(part), "content": content, "error": error}


class _Notes(io.TextIOBase):
    """Takes what Ray prints of its processes, and says in a line what matters of it."""

    def write(self, text: str) -> int:
        """Writes text."""
        if quiet.asked_for_notes():
            sys.stderr.write(text)
        elif "A worker died" in text:
            print("note: a process of the pool died; its part is scored again", file=sys.stderr)
        return len(text)


class Pool:
    """Processes that score parts; a context manager.

    Args:
      workers: their number; 0 for one per CPU.
      address: a Ray cluster's address; None for one on this machine, which ends with the pool.

    Raises:
      PoolError: the cluster cannot be reached or has too few CPUs.
    """

    def __init__(self, workers: int, address: str | None):
        self.workers, self._address = workers, address
        if quiet.asked_for_notes():
            level = logging.INFO
        else:
            os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
            level = logging.ERROR
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        import ray.data

        self._ray, self._level = ray, level
        self._stdout = contextlib.redirect_stdout(_Notes())

    def __enter__(self) -> "Pool":
        self._stdout.__enter__()
        try:
            with quiet.start_up_notes():
                self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._ray.shutdown()
        self._stdout.__exit__(None, None, None)

    def _start(self) -> None:
        ray = self._ray
        common = {"logging_level": self._level, "log_to_driver": False}
        if self._address is None:
            self.workers = self.workers or len(os.sched_getaffinity(0))
            ray.init(
                "local",
                num_cpus=self.workers,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE,
                **common,
            )
        else:
            # The machines of a cluster get the code from here.
            code = [str(_PACKAGE / name) for name in ("biva_tf", "tools")]
            try:
                ray.init(self._address, runtime_env={"py_modules": code}, **common)
            except (ConnectionError, RuntimeError, ValueError) as e:
                raise PoolError(
                    Setting("address", self._address),
                    ": expected a Ray cluster, and its token in RAY_AUTH_TOKEN if it asks for one "
                    f"({e})",
                ) from e
            cpus = int(ray.cluster_resources().get("CPU", 0))
            if max(self.workers, 1) > cpus:
                raise PoolError(
                    Setting("workers"),
                    f": expected at most the {cpus} CPUs of the cluster, got {self.workers}",
                )
            self.workers = self.workers or cpus
        logging.getLogger("ray").setLevel(self._level)
        logging.getLogger("ray.data").setLevel(self._level)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False

    def scored(self, parts: Sequence[Part], request: Request) -> Iterator[tuple[int, int, bytes]]:
        """Scores parts, in any order.

        Yields:
          The index of a part, its number of images, and its file (`PartScorer.parquet`).

        Raises:
          UserError: a part cannot be read.
          PoolError: Ray has failed.
        """
        data = self._ray.data
        rows = data.from_items(
            [{"part": pickle.dumps(part)} for part in parts], override_num_blocks=len(parts)
        )
        results = rows.map(
            Worker,
            fn_constructor_args=(request,),
            compute=data.ActorPoolStrategy(size=min(self.workers, len(parts))),
            num_cpus=1,
        )
        try:
            for row in results.iter_rows():
                if row["error"]:
                    raise pickle.loads(row["error"])
                yield row["index"], row["images"], row["content"]
        except self._ray.exceptions.RayError as e:
            raise PoolError(f"Ray: {str(e).strip().splitlines()[-1]}") from e
