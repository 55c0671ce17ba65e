"""From a source to what training and evaluation read: splits, and a batch for every step."""

import dataclasses

import numpy as np
import tensorflow as tf

from biva_tf.data import sources
from biva_tf.data.images_view import Images
from biva_tf.spec import ModelSpec

SPLITS = ("train", "validation", "test")

# Seeds of the splits that are binarised once: the same in every run, so that results compare.
_SEEDS = {"train": 1, "validation": 2, "test": 3}


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a data set is read.

    Attributes:
      dataset: the name of the source.
      location: where prepared data sets are.
      binarize: one of `images_view.MODES`.
      validation_size: how many images to cut from the end of the training split to validate on,
        where the source has no validation split of its own; 0 cuts none.
      train_on_validation: add the source's own validation split to the training split, and cut
        `validation_size` images from the end of both.
    """

    dataset: str
    location: sources.Location
    binarize: str
    validation_size: int
    train_on_validation: bool = False


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Training images, and the batches drawn from them.

    A batch is a pure function of (seed, step), so a run that is interrupted and goes on from a
    step sees what it would have seen, and every host knows its part of it.

    Attributes:
      images: of the split.
      seed: of the order.
    """

    images: Images
    seed: int

    def batch(self, step: int, size: int, part: int = 0, parts: int = 1) -> np.ndarray:
        """The batch of a step, or one of equal parts of it.

        Drawn at random without replacement, as the original does.

        Returns:
          float32 [size / parts, h, w, c] in [0, 1].
        """
        rng = np.random.Generator(np.random.Philox(key=[self.seed, step]))
        examples = rng.choice(len(self.images), size, replace=False)
        rows = size // parts
        visit = step * size // len(self.images)
        return self.images.batch(examples[part * rows : (part + 1) * rows], visit)

    def batches(
        self, first_step: int, last_step: int, size: int, first_part: int, count: int, parts: int
    ) -> tf.data.Dataset:
        """The parts first_part to first_part + count - 1 of the batches of each step, in turn.

        A host with `count` of all `parts` replicas reads only what these need.
        """
        shape = (size // parts, *self.images.image_shape)

        def part(index):
            def read(i):
                step, local = divmod(int(i), count)
                return self.batch(first_step + step, size, first_part + local, parts)

            return tf.ensure_shape(tf.numpy_function(read, [index], tf.float32), shape)

        indices = tf.data.Dataset.range((last_step - first_step) * count)
        return indices.map(part, num_parallel_calls=2).prefetch(2 * count)


@dataclasses.dataclass(frozen=True)
class Data:
    """What a run reads; `validation` is None if there is no such split."""

    train: TrainingData
    validation: Images | None
    test: Images
    version: str = ""


def load(settings: Settings, seed: int) -> Data:
    """Loads a data set.

    Args:
      settings: how.
      seed: of the order of the batches and of the dynamic binarisation.

    Raises:
      DataError: there is no such source, its data is missing or wrong, or the validation split
        would leave nothing to train on.
    """
    source = sources.load(settings.dataset, settings.location)
    splits = _splits(source, settings)
    validation = splits["validation"]
    # A training split that is drawn once is the same in every run.
    train_seed = seed if settings.binarize == "dynamic" else _SEEDS["train"]
    return Data(
        train=TrainingData(Images(splits["train"], settings.binarize, train_seed), seed),
        validation=_fixed(validation, "validation", settings) if len(validation) else None,
        test=_fixed(splits["test"], "test", settings),
        version=source.version,
    )


def evaluation_images(settings: Settings, split: str) -> Images:
    """The images of a split as evaluations see them: the same in every run.

    Raises:
      DataError: there is no such source or split, or its data is missing or wrong.
    """
    source = sources.load(settings.dataset, settings.location)
    if split == "test":
        return _fixed(source.test.images, split, settings)
    pixels = _splits(source, settings)[split]
    if not len(pixels):
        raise sources.DataError(f"--split=validation: --dataset={settings.dataset} has none")
    return _fixed(pixels, split, settings)


def check_fits(spec: ModelSpec, images: Images, dataset: str) -> None:
    """Raises DataError if a model cannot read the images of a data set."""
    if images.image_shape != spec.image_shape:
        raise sources.DataError(
            f"--dataset={dataset} has images of shape {images.image_shape}, "
            f"the architecture expects {spec.image_shape}"
        )
    if spec.likelihood == "bernoulli" and images.binarize == "none":
        sample = images.pixels[:100]
        if not np.isin(sample, (0, 255)).all():
            raise sources.DataError(
                f"--binarize=none leaves the grey values of --dataset={dataset}, the architecture "
                "expects binary images; use threshold, bernoulli or dynamic"
            )


def _fixed(pixels: np.ndarray, split: str, settings: Settings) -> Images:
    binarize = "bernoulli" if settings.binarize == "dynamic" else settings.binarize
    return Images(pixels, binarize, _SEEDS[split])


def _splits(source: sources.Source, settings: Settings) -> dict[str, np.ndarray]:
    """The pixels of every split; of no validation split, an empty array."""
    name, size = settings.dataset, settings.validation_size
    train, test = source.train.images, source.test.images
    own = source.validation
    if own is not None and not settings.train_on_validation:
        return {"train": train, "validation": own.images, "test": test}
    if own is not None:
        train = np.concatenate([train, own.images])
    if not 0 <= size < len(train):
        expected = f"an integer in 0..{len(train) - 1} for {name}"
        raise sources.DataError(f"--validation_size: expected {expected}, got {size}")
    cut = len(train) - size
    return {"train": train[:cut], "validation": train[cut:], "test": test}
