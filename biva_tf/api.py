"""The Python API: the model as a Keras model, untrained or from the model_dir of a run."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from biva_tf import pretrained
from biva_tf.compression.codec import Codec, Options
from biva_tf.data import pipeline
from biva_tf.data.text.sentences import Form
from biva_tf.data.text.vocabulary import Vocabulary
from biva_tf.inference import classification, sampling
from biva_tf.inference.scoring import Score, Scorer
from biva_tf.model import architectures
from biva_tf.model.spec import ModelSpec
from biva_tf.nn.compute import Compute
from biva_tf.nn.kept_weights import KeptWeights
from biva_tf.runs import config
from biva_tf.runs.checkpoints import restore_raw
from biva_tf.runs.run_dir import RunDir
from biva_tf.runs.selected import restore_selected
from biva_tf.training.keras_model import KerasModel

_SCORERS = 4  # whose graphs a model keeps

WEIGHTS = ("averaged", "raw")


@keras.saving.register_keras_serializable("biva_tf")
class BIVA(KerasModel):
    """BIVA as a Keras model.

    `model(images)` runs both passes; most users need `sample` and `score`. `compile` and `fit`
    train it. `save` and `keras.saving.load_model` write and read it as a .keras file, with the
    weights that it has; `biva_tf.load` gives the moving averages that a run selected.

    Args:
      spec: the model's specification.
      compute: how its layers compute. It changes no more than rounding.
      name: the model's name.

    Raises:
      SettingsError: Keras's global dtype policy is not float32.
    """

    def __init__(self, spec: ModelSpec, compute: Compute | None = None, name: str = "BIVA"):
        super().__init__(spec, compute, name)
        # A second call of `score` with the same arguments is not traced again.
        self._scorer = functools.lru_cache(_SCORERS)(functools.partial(Scorer, self))
        self._generative_weights = KeptWeights(lambda: self.generative_parts)

    def sample(
        self,
        num_samples: int,
        *,
        seed: int = 0,
        temperature: float = 1.0,
        label: int | None = None,
    ) -> tf.Tensor:
        """Images from the prior, [num_samples, *spec.image_shape].

        With a Bernoulli likelihood, the probability of each pixel; with a mixture of logistics, a
        draw, in [0, 1] too; with a Gaussian, a draw of real numbers; of text, a draw of ids.

        Args:
          num_samples: how many.
          seed: the same seed gives the same images.
          temperature: scales the standard deviation of every latent's prior.
          label: of a model with classes, the class of the images; None for draws from p(y).

        Raises:
          ValueError: num_samples < 1, temperature < 0, or the model has no such class.
        """
        return sampling.sample(
            self,
            num_samples,
            seed=seed,
            temperature=temperature,
            label=label,
            kept=self._generative_weights,
        )

    def score(
        self,
        images,
        *,
        num_importance_samples: int = 1,
        k: int = 0,
        below: str = "sample",
        seed: int = 0,
        max_rows: int = 256,
    ) -> Score:
        """The bound on log p(x) of each image; with k > 0 the anomaly score L^{>k}.

        Args:
          images: [images, *spec.image_shape] in [0, 1]; under a Gaussian likelihood real numbers,
            of text ids.
          num_importance_samples: K of L_K.
          k: latents of levels <= k are taken from the prior (paper, eq. 2).
          below: how: "sample" draws from it (the paper's way), "mode" takes its mean.
          seed: the same seed gives the same scores up to rounding, whatever max_rows is; and the
            first samples of a larger K are those of a smaller one.
          max_rows: at most this many (image, sample) pairs are in memory at once.

        Raises:
          ValueError: images of a wrong shape or range, or K, k, below or max_rows out of range.
        """
        scorer = self._scorer((k,), num_importance_samples, below, max_rows)
        (score,) = scorer.score(images, seed=seed)
        return score

    def classify(
        self, images, *, num_samples: int = 10, seed: int = 0, max_rows: int = 256
    ) -> np.ndarray:
        """q(y|x) of each image, float32 [images, classes], of a model with classes.

        Args:
          images: [images, *spec.image_shape] in [0, 1].
          num_samples: q(y | x, z_{<L}^bu) is averaged over so many samples of the bottom-up
            latents.
          seed: of the samples.
          max_rows: at most this many (image, sample) pairs are in memory at once.

        Raises:
          ValueError: the model has no classes, images of a wrong shape or range, or num_samples or
            max_rows out of range.
        """
        return classification.classify(
            self, images, num_samples=num_samples, seed=seed, max_rows=max_rows
        )

    def compress(
        self, images, *, rows: int = 32, block: int = 1000, seed: int = 0, verify: bool = True
    ) -> bytes:
        """Images as a file that is about as long as the bound says, without loss.

        `python -m biva_tf.compress` writes the same files, and computes with one thread. Here
        TensorFlow computes with the threads that it has; give the process that decompresses as
        many, since the last bits of a sum can depend on it.

        Args:
          images: [n, *spec.image_shape], uint8 or floats in [0, 1], with values that the model has:
            of a binary model the least and the greatest, else multiples of 1/255.
          rows: images that the model sees at once.
          block: images per block; a damaged block costs itself and those after it.
          seed: of the random bits that the file begins with.
          verify: whether to decompress the result, and compare.

        Raises:
          CompressionError: the model is not one of images or has classes; or images of a wrong
            shape, or with values that the model has not.
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


def build(name_or_spec: str | ModelSpec) -> BIVA:
    """An untrained model.

    Args:
      name_or_spec: the name of an architecture (`architectures.ARCHITECTURES`) or a spec.

    Raises:
      SpecError: there is no architecture of that name.
    """
    if isinstance(name_or_spec, str):
        name_or_spec = architectures.get(name_or_spec)
    return BIVA(name_or_spec)


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
      model: with its weights.
      weights: "averaged": the moving averages (EMA) that its run selected; "raw": the weights of
        its newest training checkpoint.
      weights_step: the step that they are from.
      settings: of the run, by name.
      vocabulary: of a model of text; else None.
    """

    model: BIVA
    weights: str
    weights_step: int
    settings: dict[str, Any]
    vocabulary: Vocabulary | None = None

    def images(
        self, dataset: str | None = None, split: str = "test", data_dir: str | None = None
    ) -> pipeline.Examples:
        """A split of a data set as this model reads it, binarised as it was trained.

        Args:
          dataset: the name of a source; by default the one that the model was trained on.
          split: "train", "validation" or "test", the first two as the run cut them.
          data_dir: where prepared data sets are; by default where the run looked.

        Raises:
          DataError: there is no such data set, or its images do not fit the model.
        """
        data = config.evaluation_data(self.settings, dataset, data_dir)
        form = Form.of(self.model.spec, self.vocabulary)
        images = pipeline.evaluation_images(data, split, form)
        pipeline.check_fits(self.model.spec, images, data.dataset)
        return images


def load_trained(model_dir: str | Path, weights: str = "averaged") -> Trained:
    """The trained model of a run, and how it was trained. See `load` and `Trained`.

    Raises:
      ValueError: weights is neither "averaged" nor "raw".
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights: expected one of {', '.join(WEIGHTS)}, got {weights!r}")
    run_dir = RunDir(Path(model_dir))
    spec, settings = run_dir.read()
    vocabulary = Vocabulary.read(run_dir.vocabulary) if spec.of_text else None
    model = BIVA(spec)
    if weights == "raw":
        weights_step = restore_raw(run_dir.checkpoints, model)
    else:
        weights_step = restore_selected(run_dir, model)
    settings = {**config.defaults(), **settings}
    return Trained(model, weights, weights_step, settings, vocabulary)


def load_pretrained(name: str) -> Trained:
    """A trained model that ships with the project; its card is `biva_tf/pretrained/NAME/README.md`.

    Args:
      name: one of `pretrained.names()`.

    Raises:
      SettingsError: there is no model of that name; the message lists them.
      CheckpointError: its weights are damaged.
    """
    return load_trained(pretrained.run_dir(name).path)


def load(model_dir: str | Path) -> BIVA:
    """The trained model of a run, with the weights it selected: moving averages (EMA).

    Args:
      model_dir: of a run of `biva_tf.train`.

    Raises:
      RunDirError: it is not the model_dir of a run.
      CheckpointError: the run has not written weights yet, or they cannot be read.
    """
    return load_trained(model_dir).model
