"""How long a computation will take, said once near its start."""

import pytest

from biva_tf.evaluation import progress
from biva_tf.evaluation.progress import Forecast


def _lines(monkeypatch, *, total, seconds, images=10, before=0, at_once=1):
    """What is said after each part, of `images` each, that takes so many seconds."""
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    forecast, lines = Forecast(total, before, at_once), []
    for part, each in enumerate(seconds, start=1):
        now += each
        lines.append(forecast.after(before + part * images))
    return lines


@pytest.mark.parametrize(
    ("total", "seconds", "lines"),
    [
        # The first part waits for its graphs, and does not count.
        (1010, [20, 6, 6, 60], [None, "1,010 images: about 10 minutes to go", None, None]),
        # A first part of more than a minute does.
        (100, [120, 100], ["100 images: about 18 minutes to go", None]),
        (10_020, [70, 70], ["10,020 images: about 19.5 hours to go", None]),
        # Nothing is said of what takes less than a minute.
        (100, [20, 5, 5], [None, None, None]),
        (10, [300], [None]),
    ],
)
def test_a_long_computation_says_once_how_long_it_takes(monkeypatch, total, seconds, lines):
    assert _lines(monkeypatch, total=total, seconds=seconds) == lines


def test_parts_that_are_computed_at_once_count_together(monkeypatch):
    """Of two processes, both parts of the first round end at almost the same time."""
    seconds = [50, 1, 48, 2]
    *_, line = _lines(monkeypatch, total=200, seconds=seconds, at_once=2)
    assert line == "200 images: about 7 minutes to go"  # 160 images, 20 of them in 50 seconds


def test_images_that_were_done_before_are_not_counted(monkeypatch):
    *_, line = _lines(monkeypatch, total=200, seconds=[1, 10], before=80)
    assert line == "200 images: about 2 minutes to go"  # 100 images are left, a second each
