"""Times of several things by turns, so that a noisy machine is as slow for all of them."""

import time
from collections.abc import Callable, Sequence


def by_turns(
    runs: Sequence[Callable[[], object]], rounds: int, warm_up: int = 0
) -> list[list[float]]:
    """Seconds of each run in each round, after `warm_up` rounds that are not counted."""
    seconds = [[] for _ in runs]
    for turn in range(warm_up + rounds):
        for run, of_run in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run()
            if turn >= warm_up:
                of_run.append(time.perf_counter() - start)
    return seconds
