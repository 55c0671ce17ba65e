"""BIVA as a Keras model."""

import dataclasses
import functools
import random
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from biva_tf import pretrained
from biva_tf.api import presets
from biva_tf.api.training import Training
from biva_tf.compression.codec import Codec, Options
from biva_tf.data import pipeline
from biva_tf.data.text.sentences import Form
from biva_tf.inference import ceilings, classification, exploration, sampling
from biva_tf.inference.scoring import Score, Scorer, check_images
from biva_tf.model import architectures
from biva_tf.model.spec import ModelSpec
from biva_tf.nn import weight_norm
from biva_tf.nn.compute import Compute
from biva_tf.nn.fixed_weights import FixedWeights
from biva_tf.ranges import Numbers, require
from biva_tf.training import size
from biva_tf.training.keras_model import KerasModel

_SCORERS = 4  # whose graphs a model keeps


@keras.saving.register_keras_serializable("biva_tf")
class BIVA(KerasModel):
    """BIVA as a Keras model.

    `model(images)` runs both passes; most users need `sample` and `score`. `compile` and `fit`
    train it. `biva_tf.load` gives the model of a run or one that ships. `save` and
    `keras.saving.load_model` write and read it as a .keras file, `save_to_preset` and
    `from_preset` as a folder that the commands read, too.

    The methods that draw take `seed`. The same seed gives the same numbers; with None, the default,
    each call draws anew, from a generator that `keras.utils.set_random_seed` sets. `compress` and
    `compile` have the default 0, and `model(images)` uses the noise of seed 0 unless `noise` is
    given. Images are arrays with the values of the likelihood: [0, 1], real numbers, or ids of
    words; uint8 images of 0 to 255 are taken, too. The first result of a model that was neither
    trained nor loaded comes with a warning.

    Args:
      spec: the model's specification.
      compute: how its layers compute. It changes no more than rounding.
      name: the model's name.

    Attributes:
      training: how the model was trained (`Training`).

    Raises:
      SettingsError: Keras's global dtype policy is not float32.
    """

    def __init__(self, spec: ModelSpec, compute: Compute | None = None, name: str = "BIVA"):
        super().__init__(spec, compute, name)
        self.training = Training()
        self._warned = self._warned_of_grey = False
        # A second call of `score` with the same arguments is not traced again.
        self._scorer = functools.lru_cache(_SCORERS)(functools.partial(Scorer, self))
        self.fixed_generative_weights = FixedWeights(self.generative_parts, keep=True)

    def sample(
        self,
        num_samples: int,
        *,
        seed: int | None = None,
        temperature: float = 1.0,
        label: int | None = None,
    ) -> np.ndarray:
        """Images from the prior, float32 [num_samples, *spec.image_shape].

        With a Bernoulli likelihood, the probability of each pixel; with a mixture of logistics, a
        draw, in [0, 1] too; with a Gaussian, a draw of real numbers; for text, a draw of ids.

        Args:
          num_samples: how many.
          seed: the draws' seed.
          temperature: scales the standard deviation of every latent's prior.
          label: the class of the images, if the model has classes; None draws it from p(y).

        Raises:
          ValueError: num_samples < 1, temperature outside [0, 100], or the model has no such class.
        """
        self._warn_if_untrained()
        return sampling.sample(
            self, num_samples, seed=_seed(seed), temperature=temperature, label=label
        ).numpy()

    def score(
        self,
        images,
        *,
        num_importance_samples: int = 1,
        k: int = 0,
        below: str = "sample",
        seed: int | None = None,
        max_rows: int = 256,
    ) -> Score:
        """The bound on log p(x) of each image; with k > 0 the anomaly score L^{>k}.

        Args:
          images: [images, *spec.image_shape] in [0, 1]; under a Gaussian likelihood real numbers,
            of text ids.
          num_importance_samples: K of L_K.
          k: 0 <= k < L; the latents of levels <= k are taken from the prior (paper, eq. 2).
          below: how the latents of levels <= k get their values: "sample" draws them from their
            prior (the paper's way), "mode" takes their prior's mode. Without effect if k = 0.
          seed: the same seed gives the same scores up to rounding, whatever max_rows is; and the
            first samples of a larger K are those of a smaller one.
          max_rows: at most this many rows, one for each image, sample and class, are in memory at
            once.

        Raises:
          ValueError: images of a wrong shape or range, or K, k, below or max_rows out of range.
        """
        self._warn_if_untrained()
        scorer = self._scorer((k,), num_importance_samples, below, max_rows)
        images = self._checked_to_score(images)
        (score,) = scorer.score(images, seed=_seed(seed))
        return score

    def classify(
        self, images, *, num_samples: int = 10, seed: int | None = None, max_rows: int = 256
    ) -> np.ndarray:
        """q(y|x) of each image, float32 [images, classes], of a model with classes.

        Args:
          images: [images, *spec.image_shape], with values as in `score`.
          num_samples: q(y | x, z_{<L}^bu) is averaged over so many samples of the bottom-up
            latents.
          seed: the samples' seed.
          max_rows: at most this many (image, sample) pairs are in memory at once.

        Raises:
          ValueError: the model has no classes, images of a wrong shape or range, or num_samples or
            max_rows out of range.
        """
        self._warn_if_untrained()
        return classification.classify(
            self, images, num_samples=num_samples, seed=_seed(seed), max_rows=max_rows
        )

    def encode(
        self, images, *, draws: bool = False, seed: int | None = None
    ) -> dict[str, np.ndarray]:
        """The latents of images, by name ("z1_bu", "z1_td", "z2"): representations of the images.

        Each is the mean of its posterior, given the means of the latents that it depends on; or,
        with `draws`, a draw from it, given draws. With classes, "y" is the most probable class,
        one-hot [images, classes]; its probabilities are what `classify` gives.

        Args:
          images: [images, *spec.image_shape].
          draws: whether to draw from the posteriors in place of taking their means.
          seed: the draws' seed.

        Returns:
          float32 [images, *latent shape] for each latent; `decode` takes them.

        Raises:
          ValueError: images of a wrong shape or range.
        """
        self._warn_if_untrained()
        return exploration.encode(self, images, seed=_seed(seed) if draws else None)

    def decode(self, latents: Mapping[str, np.ndarray]) -> np.ndarray:
        """The images of latents, float32 [rows, *spec.image_shape].

        With a Bernoulli likelihood, the probability of each pixel. With the others x is drawn from
        p(x|z), with the same noise in every row and at every call.

        Args:
          latents: a value of each latent [rows, *latent shape], by name; with classes, "y" [rows,
            classes], too. What `encode` gives has this form.

        Raises:
          ValueError: a latent is missing or unknown, of a wrong shape, or not finite.
        """
        self._warn_if_untrained()
        return exploration.decode(self, latents)

    def reconstruct(self, images, k: int = 0, *, seed: int | None = None) -> np.ndarray:
        """Images from draws of their latents of levels > k, the rest at their prior's mode.

        `decode(encode(images))` uses the posteriors' means in place of draws.

        Args:
          images: [images, *spec.image_shape].
          k: 0 uses all latents, L-1 the top one alone.
          seed: the seed of the draws from the posterior.

        Returns:
          float32 [images, *spec.image_shape], with the values that `decode` gives.

        Raises:
          ValueError: images of a wrong shape or range, or k out of range.
        """
        self._warn_if_untrained()
        return exploration.reconstruct(self, images, (k,), seed=_seed(seed))[:, 0]

    def interpolate(
        self, first, second, steps: int = 11, *, k: int = 0, seed: int | None = None
    ) -> np.ndarray:
        """Images between pairs of images: their latents of levels > k move from end to end.

        Each latent moves along the great circle between its two draws while its length changes
        linearly, so that it stays as far from the prior's mean as the ends are. With classes, y
        moves along the line between the most probable classes of the ends.

        Args:
          first: [pairs, *spec.image_shape].
          second: as many images.
          steps: images from end to end, at least 2.
          k: 0 moves all latents, L-1 the top one alone; the rest are at their prior's mode.
          seed: the draws' seed.

        Returns:
          float32 [pairs, steps, *spec.image_shape].

        Raises:
          ValueError: images of a wrong shape or range, another number of images in second than in
            first, or steps or k out of range.
        """
        self._warn_if_untrained()
        return exploration.interpolate(self, first, second, steps, k=k, seed=_seed(seed))

    def traverse(
        self,
        latent: str,
        units: Sequence[int],
        values: Sequence[float] = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0),
        *,
        image=None,
        seed: int | None = None,
    ) -> np.ndarray:
        """Images along single units of a latent.

        The other latents of its level and above stay. Those below are at their prior's mode, so
        that they follow the unit.

        Args:
          latent: its name, such as "z3".
          units: the indices of units of a dense latent, or of channels of a map.
          values: the values of the unit, in standard deviations from its prior's mean.
          image: [*spec.image_shape]; draws from its posterior give the other latents. By default
            they are drawn from the prior.
          seed: the draws' seed.

        Returns:
          float32 [units, values, *spec.image_shape].

        Raises:
          ValueError: there is no such latent or unit, or the image is of a wrong shape or range.
        """
        self._warn_if_untrained()
        return exploration.traverse(self, latent, units, values, image=image, seed=_seed(seed))

    def levels(
        self, num_samples: int, *, seed: int | None = None, temperature: float = 1.0
    ) -> np.ndarray:
        """Samples that show what each level adds, float32 [num_samples, L, *spec.image_shape].

        In the first column the top latent is drawn and the rest are at their prior's mode; in each
        further column one more level is drawn; in the last all are, as in `sample`.

        Args:
          num_samples: how many.
          seed: the draws' seed.
          temperature: scales the standard deviation of every latent's prior.

        Raises:
          ValueError: num_samples < 1, or temperature outside [0, 100].
        """
        self._warn_if_untrained()
        return exploration.samples_by_level(
            self, num_samples, seed=_seed(seed), temperature=temperature
        )

    def images(
        self, dataset: str | None = None, split: str = "test", data_dir: str | None = None
    ) -> pipeline.Examples:
        """A split of a data set as this model reads it, binarised as it was trained.

        Args:
          dataset: the name of a data set; by default the one that the model was trained on.
          split: "train", "validation" or "test", the first two as the run cut them.
          data_dir: where prepared data sets are; by default where the run looked.

        Raises:
          SettingsError: no dataset is given, and no run trained the model.
          DataError: there is no such data set or split, it is not prepared on this machine, or its
            images do not fit the model.
        """
        data = self.training.data_config(dataset, data_dir)
        examples = pipeline.evaluation_images(
            data, split, Form.for_spec(self.spec, self.training.vocabulary)
        )
        pipeline.check_fits(self.spec, examples, data.dataset)
        return examples

    def compress(
        self, images, *, rows: int = 32, block: int = 1000, seed: int = 0, verify: bool = True
    ) -> bytes:
        """Images as a file that is about as long as the bound says, without loss.

        `python -m biva_tf.compress` writes the same files, and computes with one thread. Here
        TensorFlow computes with the threads that it has; give the process that decompresses as
        many, since the last bits of a sum can depend on it.

        Args:
          images: [n, *spec.image_shape], uint8 or floats in [0, 1]: only the least and the greatest
            value for a binary model, multiples of 1/255 for others.
          rows: images that the model sees at once.
          block: images per block; a damaged block costs itself and those after it.
          seed: the seed of the random bits that the file begins with.
          verify: whether to decompress the result, and compare.

        Raises:
          CompressionError: the model is not one of images or has classes; or images have a wrong
            shape, or values that the model cannot have.
        """
        images = np.asarray(images)
        data = self._codec.compress(images, Options(rows, block, seed)).data
        if verify:
            self._codec.verify(data, images)
        return data

    def decompress(self, data: bytes) -> np.ndarray:
        """The images of `compress`, of the dtype and the values that they had (floats: float32).

        Raises:
          CompressionError: it is no compressed file, or one of another model.
          BlockError: a block is damaged, or floating point differs from where the file was made.
            `images` of the error are those of the blocks before.
        """
        return self._codec.decompress(data)

    @functools.cached_property
    def _codec(self) -> Codec:
        return Codec(self)

    @classmethod
    def from_preset(
        cls, name_or_folder: str | Path, weights: str = "averaged", step: int | None = None
    ) -> "BIVA":
        """A trained model.

        Args:
          name_or_folder: the model_dir of a run, the folder of a preset, or the name of a model
            that ships (`pretrained.names()`; its card is `biva_tf/pretrained/NAME/README.md`).
          weights: "averaged" for the moving averages (EMA) that a run selected, "raw" for the
            weights of its newest training checkpoint.
          step: the step of other averages that the run keeps in its folder weights/.

        Raises:
          ValueError: weights is neither "averaged" nor "raw", or "raw" with a step.
          RunDirError: there is no such folder or model, or it is damaged.
          CheckpointError: a run has not written weights yet, or they cannot be read.
          CodeError: the model has parts of a file that this account has not named.
        """
        folder = pretrained.existing(str(name_or_folder))
        spec, settings = folder.read()
        model = cls(spec)
        model.training = presets.restore(folder, model, settings, weights, step)
        return model

    def save_to_preset(self, folder: str | Path) -> None:
        """Writes the model, with the weights that it has, as a folder that `load` reads.

        All commands take such a folder as their model_dir, and `train` as its init_from.

        Raises:
          RunDirError: the folder holds a run.
        """
        training = self.training
        if self.compiled and (more := int(self.optimizer.iterations)):
            step = training.weights_step + more
            training = dataclasses.replace(training, weights="own", weights_step=step)
        presets.save(folder, self, training)

    def _checked_to_score(self, images) -> np.ndarray:
        """The images; the first grey ones of a binary model come with a warning."""
        images = check_images(images, self.spec)
        of_bits = not self.spec.likelihood.binary or self._warned_of_grey
        if not of_bits and not ((images == 0) | (images == 1)).all():
            text = (
                "the model is one of binary images, got grey values: they are scored as they are; "
                "`model.images` and `biva_tf.score_dataset` binarise as the training did"
            )
            warnings.warn(text, stacklevel=3)
            self._warned_of_grey = True
        return images

    def under_ceiling(self, images=None) -> "BIVA":
        """The model under a ceiling of its log-variances, so that odd images have finite scores.

        The ceiling is measured on training data, which does not reach it (`ceilings.measured`): the
        scores of such data keep their bits. Exports, and the models that ship, have one.

        Args:
          images: some of the images that the model was trained on, [images, *spec.image_shape]; by
            default those of its run.

        Returns:
          A model with the same weights, that was not compiled; this one if it has a ceiling.

        Raises:
          UserError: no images are given, and no run trained the model or its data is not there.
          ValueError: images of a wrong shape or range.
        """
        if self.spec.log_variance_ceiling is not None:
            return self
        self._warn_if_untrained()
        if images is None:
            images = self.images(split="train")
        images = check_images(images[: ceilings.EXAMPLES], self.spec)
        made = self.with_ceiling(ceilings.measured(self, images))
        made.training = self.training
        return made

    def _warn_if_untrained(self) -> None:
        if not self._warned and not weight_norm.is_initialised(self):
            text = (
                "the model was neither trained nor loaded: its numbers are those of random weights"
            )
            warnings.warn(text, stacklevel=3)
            self._warned = True

    def get_config(self) -> dict:
        """The constructor's arguments, for a .keras file."""
        return {
            "spec": keras.saving.serialize_keras_object(self.spec),
            "compute": dataclasses.asdict(self.compute),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "BIVA":
        """The model of `get_config`, without its weights."""
        spec = keras.saving.deserialize_keras_object(config["spec"])
        return cls(spec, Compute(**config["compute"]), config["name"])


def _seed(seed: int | None) -> int:
    """The seed, or one from the generator of Python, which Keras's own layers take theirs from.

    Raises:
      SettingsError: it is no integer of 64 bits.
    """
    if seed is None:
        return random.randrange(2**31)
    require("seed", seed, Numbers(int))
    return int(seed)


def build(name_or_spec: str | Path | ModelSpec) -> BIVA:
    """An untrained model.

    Args:
      name_or_spec: a spec; the path of a JSON file with one; a place in a user's own code, such as
        my.py:spec, which is run; or the name of an architecture: one of
        `biva_tf.model.architectures.ARCHITECTURES`, or a BIVA among them followed by _lvae,
        _lvae_plus or _vae.

    Raises:
      SpecError: there is no architecture of that name, or the file is missing or no spec.
      SettingsError: the weights alone exceed the memory of this machine.
    """
    if isinstance(name_or_spec, str | Path):
        name_or_spec = architectures.read(str(name_or_spec))
    size.check_weights(name_or_spec)
    return BIVA(name_or_spec)


def load(name_or_folder: str | Path, weights: str = "averaged", step: int | None = None) -> BIVA:
    """A trained model, as `BIVA.from_preset` gives it.

    Args:
      name_or_folder: the model_dir of a run, the folder of a preset, or the name of a model that
        ships (`biva_tf.pretrained.names()`).
      weights: "averaged" for the moving averages (EMA) that a run selected, "raw" for the weights
        of its newest training checkpoint.
      step: the step of other averages that the run keeps in its folder weights/.

    Raises:
      ValueError: weights is neither "averaged" nor "raw", or "raw" with a step.
      RunDirError: there is no such folder or model, or it is damaged.
      CheckpointError: a run has not written weights yet, or they cannot be read.
      CodeError: the model has parts of a file that this account has not named.
    """
    return BIVA.from_preset(name_or_folder, weights, step)
