"""Turns a data source into the splits and batches that training and evaluation read."""

import dataclasses

import numpy as np

from biva_tf.data import labelled, points, sources
from biva_tf.data.batches import Batches
from biva_tf.data.densities import DENSITIES
from biva_tf.data.images import NO_LABEL, Batch, Images
from biva_tf.data.points import EndlessPoints, Points
from biva_tf.data.text import sentences
from biva_tf.data.text.sentences import Form, Sentences
from biva_tf.data.text.vocabulary import Vocabulary
from biva_tf.errors import Setting
from biva_tf.model import architectures
from biva_tf.model.observed import REALS
from biva_tf.model.spec import ModelSpec
from biva_tf.settings import Settings, setting

Examples = Images | Points | Sentences

SPLITS = ("train", "validation", "test")

# Splits that are binarised once use these seeds in every run, so that results are comparable.
SEEDS = {"train": 1, "validation": 2, "test": 3}


@dataclasses.dataclass(frozen=True)
class DataConfig(Settings):
    """How a data set is read.

    Attributes:
      dataset: the name of the source.
      location: the folder of prepared data sets.
      binarize: one of `images.BINARIZATIONS`.
      threshold: under binarize="threshold", a pixel above it is 1.
      validation_size: if the source has no validation split, the number of images to cut from the
        end of the training split and use as one; 0 cuts none. None: `default_validation_size`.
      labels: of `labelled.choose`, for a model with classes.
      label_seed: chooses the labelled images.
      train_on_validation: append the source's validation split to the training split, and cut
        `validation_size` images from the end of the result.

    Raises:
      SettingsError: one of them is out of its range.
    """

    dataset: str
    location: sources.Location
    binarize: str
    threshold: int = setting(lower=0, upper=254)
    validation_size: int | None = setting(lower=0)
    labels: int | None = setting(None, lower=1)
    label_seed: int = setting(0, lower=0)
    train_on_validation: bool = False

    @property
    def evaluation_binarize(self) -> str:
        """How splits that are evaluated are binarised: drawn once, if training draws anew."""
        return "bernoulli" if self.binarize == "dynamic" else self.binarize


@dataclasses.dataclass(frozen=True)
class TrainingData(Batches):
    """Training images, and the batches drawn from them.

    Attributes:
      images: the images, or the sentences, of the training split.
      seed: the seed that chooses the examples of each batch.
      labelled: see `Batches`.
    """

    images: Images | Sentences
    seed: int
    labelled: np.ndarray | None = None

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return self.images.image_shape

    @property
    def number(self) -> int:
        """The number of images."""
        return len(self.images)

    def batch(self, step: int, size: int, part: int = 0, parts: int = 1) -> Batch:
        """The batch of a step, or one of its equal parts, which has size / parts examples.

        The examples are drawn at random without replacement, as in the original; labelled ones
        with replacement if there are fewer than a batch needs.
        """
        rng = np.random.Generator(np.random.Philox(key=[self.seed, step]))
        if self.labelled is None:
            return self._part(rng, step, size, part, parts)
        rows = size // 2
        with_labels = self._part(rng, step, rows, part, parts, self.labelled)
        without = self._part(rng, step, rows, part, parts)
        without = without._replace(labels=np.full_like(without.labels, NO_LABEL))
        return Batch(
            *(
                np.stack(pair, axis=1).reshape(-1, *pair[0].shape[1:])
                for pair in zip(with_labels, without, strict=True)
            )
        )

    def _part(
        self, rng, step: int, size: int, part: int, parts: int, places: np.ndarray | None = None
    ) -> Batch:
        """A part of `size` examples that are drawn from some places of the split, or from all."""
        if places is None:
            number = len(self.images)
            examples = rng.choice(number, size, replace=False)
        else:
            number = len(places)
            examples = places[rng.choice(number, size, replace=size > number)]
        rows = size // parts
        epoch = step * size // number
        return self.images.batch(examples[part * rows : (part + 1) * rows], epoch)


@dataclasses.dataclass(frozen=True)
class Data:
    """The splits of a run; `validation` is None if there is no such split.

    Of a data set of text there is the vocabulary, too. `validation_size` is that of the config, or
    the number that None stood for; None if the data set is a density.
    """

    train: Batches
    validation: Examples | None
    test: Examples
    version: str = ""
    vocabulary: Vocabulary | None = None
    validation_size: int | None = None


def default_validation_size(images: int) -> int:
    """How many of all training images become the validation split: a fifth, at most 1,000."""
    return min(1000, images // 5)


def names() -> list[str]:
    """The names of all data sets: the sources of images, and the densities."""
    return [*sources.names(), *DENSITIES]


def info(name: str) -> sources.Info:
    """A data set's shape and counts, known without reading it. DataError if none has that name.

    The number of training points of a density is None.
    """
    if name in DENSITIES:
        return sources.Info(points.SHAPE, None, points.TEST, points.VALIDATION)
    return sources.info(name)


def load(config: DataConfig, seed: int, classes: int = 0, form: Form | None = None) -> Data:
    """Loads a data set.

    Args:
      config: how to read it.
      classes: the number of classes of a model; 0 for batches without labelled halves.
      seed: the seed of the batches and of dynamic binarisation.
      form: the form of a text model's sentences; None for other models.

    Raises:
      DataError: there is no such source, its data is missing or wrong, the validation split would
        leave nothing to train on, the labels do not fit the classes, or the model is not of text
        and the data set is.
    """
    if density := DENSITIES.get(config.dataset):
        validation_points, test_points = (points.split(density, n) for n in ("validation", "test"))
        return Data(EndlessPoints(density, seed), validation_points, test_points)
    source = sources.load(config.dataset, config.location)
    config = _sized(config, source)
    splits = _splits(source, config)
    if sources.info(config.dataset).lines:
        form = _checked_form(form, config)
        rows, vocabulary = sentences.read(splits, form)
        places = _labelled(rows["train"], classes, config)
        return Data(
            train=TrainingData(rows["train"], seed, places),
            validation=rows["validation"] if len(rows["validation"]) else None,
            test=rows["test"],
            vocabulary=vocabulary,
            validation_size=config.validation_size,
        )
    train, validation = splits["train"], splits["validation"]
    # A training split that is binarised once is the same in every run.
    train_seed = seed if config.binarize == "dynamic" else SEEDS["train"]
    images = _images(train, config.binarize, train_seed, config)
    return Data(
        train=TrainingData(images, seed, _labelled(images, classes, config)),
        validation=fixed_images(validation, "validation", config)
        if len(validation.images)
        else None,
        test=fixed_images(splits["test"], "test", config),
        version=source.version,
        validation_size=config.validation_size,
    )


def _labelled(images: Images | Sentences, classes: int, config: DataConfig):
    if not classes:
        return None
    return labelled.choose(np.asarray(images.labels), classes, config.labels, config.label_seed)


def _checked_form(form: Form | None, config: DataConfig) -> Form:
    if form is None:
        raise sources.DataError(
            Setting("dataset", config.dataset),
            " has sentences, but the architecture is not of text",
        )
    return form


def evaluation_images(config: DataConfig, split: str, form: Form | None = None) -> Examples:
    """The images of a split for evaluation: the same in every run.

    Args:
      config: how to read the data set.
      split: its name.
      form: the form of a text model's sentences, with its vocabulary; None for other models.

    Raises:
      DataError: there is no such source or split, its data is missing or wrong, or the model is not
        of text and the data set is.
    """
    if split not in SPLITS:
        expected = f": expected one of {', '.join(SPLITS)}, got {split!r}"
        raise sources.DataError(Setting("split"), expected)
    if density := DENSITIES.get(config.dataset):
        return points.split(density, split)
    source = sources.load(config.dataset, config.location)
    chosen = source.test if split == "test" else _splits(source, _sized(config, source))[split]
    if not len(chosen.images):
        dataset = Setting("dataset", config.dataset)
        raise sources.DataError(Setting("split", split), ": ", dataset, " has none")
    if sources.info(config.dataset).lines:
        form = _checked_form(form, config)
        return sentences.read({split: chosen}, form)[0][split]
    return fixed_images(chosen, split, config)


def check_fits(spec: ModelSpec, images: Examples, dataset: str) -> None:
    """Raises DataError if a model cannot read the images of a data set."""
    if images.image_shape != spec.image_shape:
        raise sources.DataError(
            Setting("dataset", dataset),
            f" has images of shape {images.image_shape}, the architecture expects "
            f"{spec.image_shape}; ",
            *_fitting(images.image_shape),
        )
    if images.values != spec.likelihood.values:
        given, expected = map(_range, (images.values, spec.likelihood.values))
        raise sources.DataError(
            Setting("dataset", dataset),
            f" has {given}, the architecture's likelihood, {spec.likelihood.kind}, expects "
            f"{expected}",
        )
    if spec.likelihood.binary and isinstance(images, Images) and images.binarize == "none":
        sample = images.pixels[:100]
        if not np.isin(sample, (0, 255)).all():
            raise sources.DataError(
                Setting("binarize", "none"),
                " leaves the grey values of ",
                Setting("dataset", dataset),
                ", but the architecture expects binary images; use threshold, bernoulli or dynamic",
            )


def _fitting(image_shape: tuple[int, ...]) -> tuple[str | Setting, ...]:
    """The end of a message: the architectures for images of a shape."""
    names = architectures.of_shape(image_shape)
    if names:
        return ("of this shape are ", Setting("architecture", " or ".join(names)))
    return ("no named one has this shape, but ", Setting("architecture", "FILE.json"), " can")


def _range(values: tuple[float, float]) -> str:
    return "real numbers" if values == REALS else "values in [{:g}, {:g}]".format(*values)


def fixed_images(split: sources.Split, name: str, config: DataConfig) -> Images:
    """A split as evaluation reads it, the same in every run. `name` chooses its draws."""
    return _images(split, config.evaluation_binarize, SEEDS[name], config)


def _images(split: sources.Split, binarize: str, seed: int, config: DataConfig) -> Images:
    return Images(split.images, binarize, seed, split.labels, config.threshold)


def _sized(config: DataConfig, source: sources.Source) -> DataConfig:
    """The config with a number for the size of the validation split."""
    if config.validation_size is not None:
        return config
    images = len(source.train.images)
    if source.validation is not None and config.train_on_validation:
        images += len(source.validation.images)
    return dataclasses.replace(config, validation_size=default_validation_size(images))


def _splits(source: sources.Source, config: DataConfig) -> dict[str, sources.Split]:
    """All splits by name. If there is no validation split, it is empty."""
    name, size = config.dataset, config.validation_size
    train, validation = source.train, source.validation
    if validation is not None and not config.train_on_validation:
        return {"train": train, "validation": validation, "test": source.test}
    if validation is not None:
        train = sources.Split(
            np.concatenate([train.images, validation.images]),
            np.concatenate([train.labels, validation.labels]),
        )
    number = len(train.images)
    if size is None or not 0 <= size < number:
        expected = f"an integer in 0..{number - 1} for {name}"
        raise sources.DataError(Setting("validation_size"), f": expected {expected}, got {size}")
    cut = number - size
    return {
        "train": sources.Split(train.images[:cut], train.labels[:cut]),
        "validation": sources.Split(train.images[cut:], train.labels[cut:]),
        "test": source.test,
    }
