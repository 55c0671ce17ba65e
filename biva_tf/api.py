"""The Python API: the model as a Keras model, untrained or from the model_dir of a run."""

import collections
import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from biva_tf.data import pipeline
from biva_tf.data.images import NO_LABEL, Batch, Images
from biva_tf.inference import objectives, sampling, scoring
from biva_tf.inference.scoring import Score
from biva_tf.model import architectures
from biva_tf.model.network import Network
from biva_tf.model.spec import ModelSpec
from biva_tf.nn import weight_norm
from biva_tf.nn.compute import Compute
from biva_tf.runs import config
from biva_tf.runs.checkpoints import SelectedWeights, restore_raw
from biva_tf.runs.run_dir import RunDir
from biva_tf.training import step, trainer
from biva_tf.training.optimizer import Adamax, FlooredExponentialDecay
from biva_tf.training.step import Objective, TrainingStep

WEIGHTS = ("averaged", "raw")


@keras.saving.register_keras_serializable("biva_tf")
class BIVA(Network):
    """BIVA as a Keras model.

    `model(images)` runs both passes, `sample` and `score` are what most users need. `compile` and
    `fit` train with the step of `python -m biva_tf.train`, `save` and
    `keras.saving.load_model` write and read a .keras file.

    Args:
      spec: of the model.
      compute: how its layers compute. It changes no more than rounding.
      name: of the model.

    Raises:
      SettingsError: Keras's global dtype policy is not float32.
    """

    def sample(self, num_samples: int, *, seed: int = 0, temperature: float = 1.0) -> tf.Tensor:
        """Images from the prior, [num_samples, *spec.image_shape] in [0, 1].

        With a Bernoulli likelihood, the probability of each pixel; with a mixture of logistics, a
        draw.

        Args:
          num_samples: how many.
          seed: the same seed gives the same images.
          temperature: scales the standard deviation of every latent's prior.

        Raises:
          ValueError: num_samples < 1 or temperature < 0.
        """
        return sampling.sample(self, num_samples, seed=seed, temperature=temperature)

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
          images: [images, *spec.image_shape] in [0, 1].
          num_importance_samples: K of L_K.
          k: latents of levels <= k are taken from the prior (paper, eq. 2).
          below: how: "sample" draws from it (the paper's way), "mode" takes its mean.
          seed: the same seed gives the same scores up to rounding, whatever max_rows is; and the
            first samples of a larger K are those of a smaller one.
          max_rows: at most this many (image, sample) pairs are in memory at once.

        Raises:
          ValueError: images of a wrong shape or range, or K, k, below or max_rows out of range.
        """
        return scoring.scores(
            self,
            images,
            (k,),
            num_importance_samples=num_importance_samples,
            below=below,
            seed=seed,
            max_rows=max_rows,
        )[0]

    def compile(
        self,
        optimizer: Adamax | None = None,
        *,
        objective: Objective | None = None,
        seed: int = 0,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
    ):
        """Prepares the model for `fit` and `evaluate`.

        Args:
          optimizer: by default the original's, with moving averages of decay 0.9995.
          objective: free bits, KL weight and clipping; by default those of the original.
          seed: of the noise.
          run_eagerly, steps_per_execution: as of `keras.Model.compile`.

        Raises:
          ValueError: the optimizer is not an `Adamax` of this package, whose step sums and clips
            the gradients of all replicas before it applies them.
        """
        if optimizer is None:
            optimizer = Adamax(FlooredExponentialDecay(), ema_decay=0.9995)
        if not isinstance(optimizer, Adamax):
            raise ValueError(
                "optimizer: expected a biva_tf.training.optimizer.Adamax, got "
                f"{type(optimizer).__name__}"
            )
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=False,
        )
        optimizer.build(self.trainable_variables)
        self._training_step = TrainingStep(self, optimizer, objective or Objective(), seed)
        self._test_metrics = [
            keras.metrics.Mean(name) for name in ("loss", "elbo", "reconstruction", "bits_per_dim")
        ]

    def initialise(self, images) -> None:
        """Data-dependent initialisation on a batch of images [rows, *spec.image_shape] in [0, 1].

        `fit` does it with its first batch, unless it was done before or the model is trained.
        """
        with self.distribute_strategy.scope():
            trainer.initialise(self, images, self._training_step.seed)
        if self.optimizer.moving_averages is not None:
            self.optimizer.moving_averages.reset()

    def fit(self, x=None, y=None, batch_size=None, callbacks=None, **keras_arguments):
        """Trains the model: as `keras.Model.fit`, with the step of `python -m biva_tf.train`.

        The logs of an epoch are the means of the metrics of its steps; see `TrainingStep`. The
        model's weights are those of the last step: `averaged_weights` gives their averages.

        Args:
          x: images [images, *spec.image_shape] in [0, 1], or a `tf.data.Dataset` of batches.
          y: their labels, if any.
          batch_size: by default 32; None for a data set.
          callbacks: Keras callbacks.
          keras_arguments: the other arguments of `keras.Model.fit`.

        Raises:
          ValueError: images of a wrong shape or dtype; or neither an array nor a `tf.data.Dataset`
            for a model that has to be initialised first.
        """
        if self.compiled and not weight_norm.is_initialised(self):
            self.initialise(_first_batch(x, batch_size))
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = [_EpochMeans(), *(callbacks or [])]
        return super().fit(x, y, batch_size, callbacks=callbacks, **keras_arguments)

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """What `fit` does with a replica's part of a batch: gives the metrics."""
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        if labels is None:
            labels = tf.fill(tf.shape(images)[:1], tf.constant(NO_LABEL, tf.int64))
        _, metrics = self._training_step(Batch(images, labels))
        return metrics

    def test_step(self, data) -> dict[str, tf.Tensor]:
        """What `evaluate` does with a replica's part of a batch: the ELBO, one sample per image."""
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        context = tf.distribute.get_replica_context()
        # The rows before these on this replica; those of the replicas are kept far apart.
        first_image = tf.cast(self._test_metrics[0].count.value, tf.int64)
        first_image += tf.cast(context.replica_id_in_sync_group, tf.int64) * 2**32
        (scores,), _ = scoring.image_scores(
            self,
            (0,),
            images,
            seed=tf.constant([self._training_step.seed, step.EVALUATION], tf.int64),
            first_image=first_image,
            num_samples=1,
            max_rows=1,
        )
        bits_per_dim = objectives.bits_per_dim(scores.elbo, self.spec.image_shape)
        values = (-scores.elbo, scores.elbo, scores.reconstruction, bits_per_dim)
        for metric, value in zip(self._test_metrics, values, strict=True):
            metric.update_state(value)
        return {metric.name: metric.result() for metric in self._test_metrics}

    def averaged_weights(self) -> contextlib.AbstractContextManager:
        """While active, the model has the moving averages as its weights, if it keeps them."""
        averages = self.optimizer.moving_averages
        return contextlib.nullcontext() if averages is None else averages.applied()

    def get_compile_config(self) -> dict:
        """The arguments of `compile`, for a .keras file."""
        if not self.compiled:
            return {}
        training = self._training_step
        arguments = {
            "optimizer": self.optimizer,
            "objective": training.objective,
            "seed": training.seed,
        }
        return keras.saving.serialize_keras_object(arguments)

    def compile_from_config(self, config: dict) -> None:
        """Compiles as `get_compile_config` says."""
        self.compile(**keras.saving.deserialize_keras_object(config))

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


class _EpochMeans(keras.callbacks.Callback):
    """Makes the logs of an epoch the means over its steps; Keras's are those of the last step."""

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the sums anew."""
        self._sums, self._steps = collections.Counter(), 0

    def on_train_batch_end(self, batch, logs=None):
        """Adds a step."""
        for name, value in logs.items():
            self._sums[name] += float(value)
        self._steps += 1

    def on_epoch_end(self, epoch, logs=None):
        """Gives the means to the callbacks after this one."""
        logs.update({name: total / self._steps for name, total in self._sums.items()})


def _first_batch(x, batch_size: int | None):
    """The first images of what was given to `fit`."""
    if isinstance(x, tf.data.Dataset):
        return keras.utils.unpack_x_y_sample_weight(next(iter(x)))[0]
    if isinstance(x, np.ndarray | tf.Tensor):
        return x[: batch_size or 32]
    raise ValueError(
        f"x: expected an array or a tf.data.Dataset, got {type(x).__name__}; for others call "
        "`initialise` with a batch of images before `fit`"
    )


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
    """

    model: BIVA
    weights: str
    weights_step: int
    settings: dict[str, Any]

    def images(
        self, dataset: str | None = None, split: str = "test", data_dir: str | None = None
    ) -> Images:
        """A split of a data set as this model reads it, binarised as it was trained.

        Args:
          dataset: the name of a source; by default the one that the model was trained on.
          split: "train", "validation" or "test", the first two as the run cut them.
          data_dir: where prepared data sets are; by default where the run looked.

        Raises:
          DataError: there is no such data set, or its images do not fit the model.
        """
        changes: dict[str, Any] = {} if data_dir is None else {"data_dir": data_dir}
        if dataset is not None and dataset != self.settings["dataset"]:
            # The run cut its validation split from its own data set.
            changes |= {"dataset": dataset, "validation_size": 0}
        data = config.data_config(self.settings, **changes)
        images = pipeline.evaluation_images(data, split)
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
    model = BIVA(spec)
    if weights == "raw":
        of_step = restore_raw(run_dir.checkpoints, model)
    else:
        of_step = SelectedWeights(run_dir.weights, model).restore()
    return Trained(model, weights, of_step, settings)


def load(model_dir: str | Path) -> BIVA:
    """The trained model of a run, with the weights it selected: moving averages (EMA).

    Args:
      model_dir: of a run of `biva_tf.train`.

    Raises:
      RunDirError: it is not the model_dir of a run.
      CheckpointError: the run has not written weights yet, or they cannot be read.
    """
    return load_trained(model_dir).model
