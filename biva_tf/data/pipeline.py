"""From a source to what training and evaluation read: splits, and a batch for every step."""

import dataclasses

import numpy as np
import tensorflow as tf

from biva_tf.data import binarization, sources
from biva_tf.spec import ModelSpec

SPLITS = ("train", "validation", "test")

# Seeds of the splits that are binarised once: the same in every run, so that results compare.
_TRAIN, _VALIDATION, _TEST = 1, 2, 3


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Training images, and the batches drawn from them.

    A batch is a pure function of (seed, step), so a run that is interrupted and goes on from a
    step sees what it would have seen.

    Attributes:
      images: uint8 [n, h, w, c] under dynamic binarisation, else float32 in [0, 1].
      seed: of the order, and of the dynamic binarisation.
    """

    images: np.ndarray
    seed: int

    def batch(self, step: int, size: int) -> np.ndarray:
        """The batch of a step: drawn at random without replacement, as the original does.

        Returns:
          float32 [size, h, w, c] in [0, 1].
        """
        rng = np.random.Generator(np.random.Philox(key=[self.seed, step]))
        images = self.images[rng.choice(len(self.images), size, replace=False)]
        if images.dtype == np.uint8:
            images = binarization.draw(images, rng)
        return images

    def batches(self, first_step: int, last_step: int, size: int) -> tf.data.Dataset:
        """The batches of steps first_step to last_step - 1."""
        shape = (size, *self.images.shape[1:])

        def batch(step):
            images = tf.numpy_function(lambda s: self.batch(int(s), size), [step], tf.float32)
            return tf.ensure_shape(images, shape)

        steps = tf.data.Dataset.range(first_step, last_step)
        return steps.map(batch, num_parallel_calls=1).prefetch(2)


@dataclasses.dataclass(frozen=True)
class Data:
    """What a run reads.

    Attributes:
      train: the training images.
      validation: float32 [n, h, w, c], or None if no validation split was cut.
      test: float32 [n, h, w, c].
    """

    train: TrainingData
    validation: np.ndarray | None
    test: np.ndarray


def load(name: str, *, binarize: str, validation_size: int, seed: int) -> Data:
    """Loads a data set.

    Args:
      name: of the source.
      binarize: one of `binarization.MODES`.
      validation_size: how many images to cut from the end of the training split; 0 cuts none.
      seed: of the order of the batches and of the dynamic binarisation.

    Raises:
      DataError: there is no such source, its data is missing or wrong, or the validation split
        would leave nothing to train on.
    """
    source = sources.load(name)
    train, validation = _cut(name, source.train.images, validation_size)
    if binarize != "dynamic":
        train = binarization.fixed(train, binarize, _TRAIN)
    return Data(
        train=TrainingData(train, seed),
        validation=binarization.fixed(validation, binarize, _VALIDATION)
        if validation_size
        else None,
        test=binarization.fixed(source.test.images, binarize, _TEST),
    )


def evaluation_images(name: str, split: str, *, binarize: str, validation_size: int) -> np.ndarray:
    """The images of a split as evaluations see them: the same in every run.

    Args:
      name: of the source.
      split: one of `SPLITS`.
      binarize, validation_size: as of `load`.

    Returns:
      float32 [n, h, w, c] in [0, 1].

    Raises:
      DataError: there is no such source or split, or its data is missing or wrong.
    """
    source = sources.load(name)
    if split == "test":
        return binarization.fixed(source.test.images, binarize, _TEST)
    train, validation = _cut(name, source.train.images, validation_size)
    if split == "train":
        return binarization.fixed(train, binarize, _TRAIN)
    if not len(validation):
        raise sources.DataError("--split=validation: the run has none (--validation_size=0)")
    return binarization.fixed(validation, binarize, _VALIDATION)


def check_fits(
    spec: ModelSpec, image_shape: tuple[int, ...], *, dataset: str, binarize: str
) -> None:
    """Raises DataError if a model cannot read the images of a data set, binarised so."""
    if image_shape != spec.image_shape:
        raise sources.DataError(
            f"--dataset={dataset} has images of shape {image_shape}, "
            f"the architecture expects {spec.image_shape}"
        )
    if spec.likelihood == "bernoulli" and binarize == "none":
        raise sources.DataError(
            f"--binarize=none leaves the grey values of --dataset={dataset}, the architecture "
            "expects binary images; use threshold, bernoulli or dynamic"
        )


def _cut(name: str, train: np.ndarray, validation_size: int) -> tuple[np.ndarray, np.ndarray]:
    total = len(train)
    if not 0 <= validation_size < total:
        expected = f"an integer in 0..{total - 1} for {name}"
        raise sources.DataError(f"--validation_size: expected {expected}, got {validation_size}")
    return train[: total - validation_size], train[total - validation_size :]
