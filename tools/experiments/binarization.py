"""Measures the binary versions of a grey data set, without a model:

    python -m tools.experiments.binarization --dataset=fashion_mnist --data_dir=D

Under --binarize=dynamic or bernoulli, a pixel of value v is 1 with probability v / 255. The entropy
of these draws, given the grey image, is a bound that no model can beat: the mean of -log p(x) over
the draws is at least that, whatever p is. A result below it was not measured on such draws. Under
--binarize=threshold there is no such bound; the share of white pixels shows what a threshold does.
"""

import dataclasses

import numpy as np
from scipy import special, stats

from biva_tf.commands.start import start
from biva_tf.data import sources
from biva_tf.data.sources import Location
from biva_tf.settings import Settings, required, setting
from tools.experiments import sweep


@dataclasses.dataclass(frozen=True)
class BinarizationSettings(Settings):
    """The settings of `python -m tools.experiments.binarization`."""

    dataset: str = required("The data set.")
    data_dir: str = setting(sources.default_data_dir(), "The folder of prepared data sets.")
    thresholds: tuple[int, ...] = setting(
        (0, 63, 127, 191), "Thresholds to compare.", lower=0, upper=254
    )


@dataclasses.dataclass(frozen=True)
class Binarization:
    """Facts about the test split.

    Attributes:
      images: the number of images.
      entropy_nats: the entropy of the random draws of an image, the mean over the images.
      entropy_nats_standard_error: the standard error of that mean.
      white: the share of pixels above each threshold.
    """

    images: int
    entropy_nats: float
    entropy_nats_standard_error: float
    white: dict[int, float]


def draw_entropy(pixels: np.ndarray) -> np.ndarray:
    """The entropy in nats of the random draws of each image; pixels uint8 [n, h, w, c]."""
    by_value = special.entr(np.arange(256) / 255) + special.entr(1 - np.arange(256) / 255)
    return by_value[pixels].sum(axis=(1, 2, 3))


def run(settings: BinarizationSettings) -> Binarization:
    """Measures the test split of a data set. Raises DataError if it cannot be read."""
    location = Location.from_text(settings.data_dir)
    pixels = sources.load(settings.dataset, location).test.images
    entropy = draw_entropy(pixels)
    white = {threshold: float((pixels > threshold).mean()) for threshold in settings.thresholds}
    return Binarization(len(pixels), float(entropy.mean()), float(stats.sem(entropy)), white)


def _print(settings: BinarizationSettings) -> None:
    result = run(settings)
    entropy = sweep.plus_minus(result.entropy_nats, result.entropy_nats_standard_error, 2)
    title = (
        f"{settings.dataset}, {result.images:,} test images: random draws have an entropy of "
        f"{entropy} nats"
    )
    cells = [[str(threshold), f"{share:.3f}"] for threshold, share in result.white.items()]
    table = sweep.table(["threshold", "share of pixels above it"], cells, left=0)
    sweep.show([title, *table], dataclasses.asdict(result))


if __name__ == "__main__":
    start("binarization", BinarizationSettings, _print)
