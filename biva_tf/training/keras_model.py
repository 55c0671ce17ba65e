"""A network that Keras's `fit`, `evaluate` and `predict` work with."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from biva_tf.data.images import Batch
from biva_tf.inference.objectives import Terms
from biva_tf.inference.scoring import check_images, image_scores
from biva_tf.model.network import Network
from biva_tf.model.noise import SeededNoise
from biva_tf.nn import weight_norm
from biva_tf.training.optimizer import Adamax, FlooredExponentialDecay
from biva_tf.training.step import EVALUATION, Objective, TrainingStep, metric_names

_BATCH_SIZE = 32  # Keras's default


class KerasModel(Network):
    """A `Network` with `compile`, `fit`, `evaluate` and `predict` as a Keras user knows them.

    `fit` runs the `TrainingStep` of `python -m biva_tf.train`. The model has the weights of the
    last step; `averaged_weights` puts the moving averages in their place.
    """

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
          optimizer: by default the original's, with moving averages of decay 0.9995. Under a
            strategy, make it in the strategy's scope.
          objective: free bits, KL weight and clipping; by default those of the original.
          seed: of the noise.
          run_eagerly, steps_per_execution: as in `keras.Model.compile`.

        Raises:
          ValueError: the optimizer is not an `Adamax` of this package. Its step sums and clips the
            gradients of all replicas before it applies them, which other optimizers do not.
        """
        if optimizer is None:
            with self.distribute_strategy.scope():
                optimizer = Adamax(FlooredExponentialDecay(), ema_decay=0.9995)
        if not isinstance(optimizer, Adamax):
            raise ValueError(
                f"optimizer: expected a biva_tf.Adamax, got {type(optimizer).__name__}"
            )
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=False,
        )
        self._training_step = TrainingStep(self, optimizer, objective or Objective(), seed)
        with self.distribute_strategy.scope():
            optimizer.build(self.trainable_variables)
            names = metric_names(self.spec, self._training_step.objective)
            if not hasattr(self, "_means") or tuple(m.name for m in self._means) != names:
                self._means: list[keras.metrics.Mean] = list(map(keras.metrics.Mean, names))

    def initialise(self, images) -> None:
        """Data-dependent initialisation on a batch of images [rows, *spec.image_shape].

        `fit` does it with its first batch, unless it was done before or the weights were loaded.

        Raises:
          ValueError: the model is not compiled, or images of a wrong shape or dtype.
        """
        self._require_compiled("initialise")
        self._training_step.initialise(images)

    def fit(self, x=None, y=None, batch_size=None, *arguments, **named_arguments):
        """Trains the model: `keras.Model.fit` with the step of `python -m biva_tf.train`.

        The logs of an epoch are the means over its images of the metrics of `TrainingStep`. Those
        of `validation_data` begin with "val_" and are of the weights as they are, not of their
        averages. "val_loss" has the free bits and the KL weight of "loss"; "val_elbo" has not.

        Args:
          x: images [images, *spec.image_shape], or a `tf.data.Dataset` of batches of
            images, or of (images, labels).
          y: labels, if any.
          batch_size: by default 32; None for a data set.
          arguments, named_arguments: the other arguments of `keras.Model.fit`.

        Raises:
          ValueError: images of a wrong shape, dtype or range; weights of samples or classes; or
            neither an array nor a `tf.data.Dataset` for a model that is not initialised.
        """
        x = self._checked(x)
        if self.compiled and not weight_norm.is_initialised(self):
            self.initialise(_first_batch(x, batch_size))
        return super().fit(x, y, batch_size, *arguments, **named_arguments)

    def evaluate(self, x=None, *arguments, **named_arguments):
        """The means over images of the loss, the ELBO and its terms: as `keras.Model.evaluate`.

        One sample of the posterior per image, by the seed of `compile`. The weights are those that
        the model has; `with model.averaged_weights():` takes their averages.

        Raises:
          ValueError: images of a wrong shape, dtype or range.
        """
        return super().evaluate(self._checked(x), *arguments, **named_arguments)

    def averaged_weights(self) -> contextlib.AbstractContextManager:
        """While active, the model has the moving averages as its weights, if it keeps them.

        Raises:
          ValueError: the model is not compiled.
        """
        self._require_compiled("averaged_weights")
        return self.optimizer.averaged_weights()

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """Trains on a replica's part of a batch; gives the means of the epoch so far."""
        batch = _batch(data)
        _, metrics = self._training_step(batch)
        return self._updated(metrics, tf.shape(batch.images)[0])

    def test_step(self, data) -> dict[str, tf.Tensor]:
        """Scores a replica's part of a batch; gives the means of the images so far."""
        batch, training_step = _batch(data), self._training_step
        context = tf.distribute.get_replica_context()
        # The number of images before these on this replica. Replicas are kept far apart.
        first_image = tf.cast(self._means[0].count.value, tf.int64)
        first_image += tf.cast(context.replica_id_in_sync_group, tf.int64) * 2**32
        (scores,), _ = image_scores(
            self,
            (0,),
            batch.images,
            seed=tf.constant([training_step.seed, EVALUATION], tf.int64),
            first_image=first_image,
            num_importance_samples=1,
            max_rows=1,
        )
        terms = Terms(tf.cast(scores.reconstruction, tf.float32), tf.cast(scores.kl, tf.float32))
        return self._updated(training_step.row_metrics(terms), None)

    def predict_step(self, data) -> tf.Tensor:
        """Reconstructions, [rows, *spec.image_shape], from a draw of all latents.

        With a Bernoulli likelihood, the probability of each pixel; of text, at each place the most
        probable token; with the others, a draw.
        """
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        noise = SeededNoise(0)
        return self.likelihood.reconstruction(self(images, noise=noise).px, noise)

    def get_compile_config(self) -> dict:
        """The arguments of `compile`, for a .keras file."""
        if not self.compiled:
            return {}
        arguments = {
            "optimizer": self.optimizer,
            "objective": self._training_step.objective,
            "seed": self._training_step.seed,
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
        }
        return keras.saving.serialize_keras_object(arguments)

    def compile_from_config(self, config: dict) -> None:
        """Compiles with the arguments of `get_compile_config`."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def _updated(self, metrics: dict[str, tf.Tensor], weight) -> dict[str, tf.Tensor]:
        means = {mean.name: mean for mean in self._means}
        skipped = tf.cast(metrics.get("skipped", 0.0), tf.bool)
        for name, value in metrics.items():
            if name != "skipped" and "skipped" in metrics:
                # Not in the mean: the values of a skipped step may be infinite.
                value, of_step = tf.where(skipped, 0.0, value), tf.where(skipped, 0, weight)
            else:
                of_step = weight
            means[name].update_state(value, of_step)
        return {name: means[name].result() for name in metrics}

    def _checked(self, x):
        return check_images(x, self.spec) if isinstance(x, np.ndarray) else x

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise ValueError(f"{method}: expected a compiled model; call compile() before")


def _batch(data) -> Batch:
    """The images and labels that Keras hands to a step."""
    images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise ValueError("sample_weight, class_weight: expected none, since the bound has none")
    return Batch.unlabelled(images) if labels is None else Batch(images, labels)


def _first_batch(x, batch_size: int | None):
    """The first images given to `fit`."""
    if isinstance(x, tf.data.Dataset):
        return keras.utils.unpack_x_y_sample_weight(next(iter(x)))[0]
    if isinstance(x, np.ndarray | tf.Tensor):
        return x[: batch_size or _BATCH_SIZE]
    raise ValueError(
        f"x: expected an array or a tf.data.Dataset, got {type(x).__name__}; for others call "
        "`initialise` with a batch of images before `fit`"
    )
