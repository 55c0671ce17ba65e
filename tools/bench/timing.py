"""Times several runs in turns, so that noise on the machine affects all of them alike."""

import time
from collections.abc import Callable, Sequence


def by_turns(
    runs: Sequence[Callable[[], object]], rounds: int, warm_up: int = 0
) -> list[list[float]]:
    """The seconds of each run in each round, after `warm_up` rounds that are not counted."""
    seconds = [[] for _ in runs]
    for turn in range(warm_up + rounds):
        for run, run_seconds in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run()
            if turn >= warm_up:
                run_seconds.append(time.perf_counter() - start)
    return seconds
