"""A network that Keras's `fit`, `evaluate` and `predict` work with."""

import contextlib
import functools

import keras
import tensorflow as tf

from biva_tf.data.images import Batch
from biva_tf.inference.objectives import Terms
from biva_tf.inference.score_graph import image_scores
from biva_tf.inference.scoring import check_images
from biva_tf.model.network import Network
from biva_tf.model.noise import SeededNoise
from biva_tf.nn import weight_norm
from biva_tf.ranges import Numbers, require
from biva_tf.training import keras_callbacks
from biva_tf.training import optimizer as optimizers
from biva_tf.training.keras_data import (
    ImageCount,
    first_images,
    observed,
    prepared,
    prepared_validation,
    range_errors,
)
from biva_tf.training.step import (
    EVALUATION,
    Objective,
    TrainingStep,
    first_rows,
    metric_names,
    with_a_row,
)


class KerasModel(Network):
    """A `Network` with `compile`, `fit`, `evaluate` and `predict` as a Keras user knows them.

    `fit` runs the `TrainingStep` of `python -m biva_tf.train`. The model has the weights of the
    last step; `averaged_weights` puts the moving averages in their place.
    """

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str | dict | None = None,
        loss: None = None,
        *,
        metrics: None = None,
        objective: Objective | None = None,
        seed: int = 0,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
    ):
        """Prepares the model for `fit` and `evaluate`, which otherwise do it with the defaults.

        Args:
          optimizer: a `biva_tf.Adamax`; an optimizer of Keras, or its name; or None for the
            original's, `Adamax` with moving averages of decay 0.9995. Under a strategy, make it in
            the strategy's scope.
          loss, metrics: None. The model's bound gives the loss; its terms are the metrics.
          objective: free bits, KL weight and clipping; by default those of the original.
          seed: the seed of the noise.
          run_eagerly, steps_per_execution: as in `keras.Model.compile`.

        Raises:
          ValueError: there is no such optimizer, or it scales the loss; a loss or metrics; a seed
            that is no integer of 64 bits; or `objective.skip_gradient_norm` with another optimizer
            than `Adamax`.
        """
        for name, value in (("loss", loss), ("metrics", metrics)):
            if value is not None:
                raise ValueError(
                    f"{name}: expected None, got {value!r}: the bound gives the loss and the "
                    "metrics, and `objective` sets its free bits and weights"
                )
        require("seed", seed, Numbers(int))
        seed = int(seed)
        objective = objective or Objective()
        with self.distribute_strategy.scope():
            made = optimizers.get(optimizer)
        if objective.skip_gradient_norm and not isinstance(made, optimizers.Adamax):
            raise ValueError(
                "objective.skip_gradient_norm: expected 0, or a biva_tf.Adamax as the optimizer, "
                f"got {type(made).__name__}"
            )
        super().compile(
            optimizer=made,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=False,
        )
        self._training_step = TrainingStep(self, made, objective, seed)
        with self.distribute_strategy.scope():
            made.build(self.trainable_variables)
            names = metric_names(self.spec, objective)
            if not hasattr(self, "_means") or tuple(m.name for m in self._means) != names:
                self._means: list[keras.metrics.Mean] = list(map(keras.metrics.Mean, names))

    def initialise(self, images) -> None:
        """Data-dependent initialisation on a batch of images [rows, *spec.image_shape].

        `fit` does it with its first 64 images, unless it was done before or the weights were
        loaded.

        Raises:
          ValueError: the model is not compiled, or images of a wrong shape or range.
        """
        self._require_compiled("initialise")
        self._training_step.initialise(check_images(images, self.spec))

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """Trains the model: `keras.Model.fit` with the step of `python -m biva_tf.train`.

        The logs of an epoch are the means over its images of the metrics of `TrainingStep`. Those
        of `validation_data` begin with "val_" and are of the weights as they are, not of their
        averages. "val_loss" has the free bits and the KL weight of "loss"; "val_elbo" has not.

        Args are those of `keras.Model.fit`:
          x: images [images, *spec.image_shape], with values of the likelihood or uint8 of 0 to 255
            (`pixels.as_floats`); or a `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator
            of batches: images, (images,) or (images, labels).
          y: labels, if any, of an array.
          class_weight, sample_weight: None.

        Raises:
          ValueError: images of a wrong shape or range, also in a later batch of a data set; weights
            of samples or classes.
        """
        _refuse_weights(sample_weight, class_weight)
        x = prepared(x, self.spec)
        if validation_data is not None:
            validation_data = prepared_validation(validation_data, self.spec)
        if not self.compiled:
            self.compile()
        keras_callbacks.direct(callbacks, [mean.name for mean in self._means])
        if not weight_norm.is_initialised(self):
            images, x = first_images(x, self.spec)
            self.initialise(images)
        with range_errors():
            return super().fit(
                x=x,
                y=y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                validation_steps=validation_steps,
                validation_batch_size=validation_batch_size,
                validation_freq=validation_freq,
            )

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
        _use_cached_eval_dataset=False,
    ):
        """The means over images of the loss, the ELBO and its terms: as `keras.Model.evaluate`.

        One sample of the posterior per image, by the seed of `compile` and the image's place in
        the input: neither the batch size nor the number of devices changes more than rounding. The
        weights are those that the model has; `with model.averaged_weights():` takes their averages.

        Args and errors are those of `fit`. (`_use_cached_eval_dataset` is how Keras's `fit` asks
        for the validation data that it has read already.)
        """
        _refuse_weights(sample_weight)
        if not self.compiled:
            self.compile()
        with range_errors():
            return super().evaluate(
                x=x if _use_cached_eval_dataset else prepared(x, self.spec),
                y=y,
                batch_size=batch_size,
                verbose=verbose,
                steps=steps,
                callbacks=callbacks,
                return_dict=return_dict,
                _use_cached_eval_dataset=_use_cached_eval_dataset,
            )

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Reconstructions from a draw of all latents, float32 [images, *spec.image_shape].

        With a Bernoulli likelihood, the probability of each pixel; of text, at each place the most
        probable token; with the others, a draw. `BIVA.reconstruct(x, seed=seed)` gives the same up
        to rounding, whatever the batch size; the seed is that of `compile`, else 0.

        Args and errors are those of `fit`.
        """
        with range_errors():
            return super().predict(
                prepared(x, self.spec),
                batch_size=batch_size,
                verbose=verbose,
                steps=steps,
                callbacks=callbacks,
            )

    def averaged_weights(self) -> contextlib.AbstractContextManager:
        """While active, the model has the averages of its `Adamax` as its weights, if it keeps any.

        An optimizer of Keras with `use_ema` has none: `fit` ends with its averages as the weights.

        Raises:
          ValueError: the model is not compiled.
        """
        self._require_compiled("averaged_weights")
        if not isinstance(self.optimizer, optimizers.Adamax):
            return contextlib.nullcontext()
        return self.optimizer.averaged_weights()

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing, since all is built.

        Keras's fails where the devices' parts of the first batch, of which it takes the mean, are
        not of one size.
        """

    # Keras calls these two when a pass over the data begins.

    def make_test_function(self, force=False):
        """As Keras's; the count of the images begins anew."""
        self._image_count.reset()
        return super().make_test_function(force)

    def make_predict_function(self, force=False):
        """As Keras's; the count of the images begins anew."""
        self._image_count.reset()
        return super().make_predict_function(force)

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """Trains on a replica's part of a batch; gives the means of the epoch so far."""
        batch = self._batch(data)
        _, metrics = self._training_step(batch)
        return self._updated(metrics, tf.shape(batch.images)[0])

    def test_step(self, data) -> dict[str, tf.Tensor]:
        """Scores a replica's part of a batch; gives the means of the images so far."""
        batch, training_step = self._batch(data), self._training_step
        (scores,), _ = image_scores(
            self,
            (0,),
            with_a_row(batch).images,
            seed=tf.constant([training_step.seed, EVALUATION], tf.int64),
            first_image=self._image_count.first_of(batch.images),
            num_importance_samples=1,
            max_rows=1,
        )
        of_rows = (first_rows(value, batch) for value in (scores.reconstruction, scores.kl))
        terms = Terms(*(tf.cast(value, tf.float32) for value in of_rows))
        return self._updated(training_step.row_metrics(terms), None)

    def predict_step(self, data) -> tf.Tensor:
        """Reconstructions of a replica's part of a batch."""
        batch = self._batch(data)
        seed = self._training_step.seed if self.compiled else 0
        noise = SeededNoise(seed, self._image_count.first_of(batch.images))
        px = self(with_a_row(batch).images, noise=noise).px
        return first_rows(self.likelihood.reconstruction(px, noise), batch)

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
        values = list(metrics.values())
        for name, value in metrics.items():
            if name != "skipped" and "skipped" in metrics:
                # Not in the mean: the values of a skipped step may be infinite.
                value, of_step = tf.where(skipped, 0.0, value), tf.where(skipped, 0, weight)
            else:
                of_step = weight
            with tf.control_dependencies([values[0]]):  # at the end of the data nothing is updated
                means[name].update_state(value, of_step)
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync == 1:
            return {name: means[name].result() for name in metrics}
        # Keras would take the mean of the replicas' means, whatever their numbers of images.
        parts = [(means[name].total, means[name].count) for name in metrics]
        sums = tf.stack([tf.stack([tf.convert_to_tensor(v) for v in part]) for part in parts])
        total, count = tf.unstack(context.all_reduce(tf.distribute.ReduceOp.SUM, sums), axis=1)
        return dict(zip(metrics, tf.unstack(tf.math.divide_no_nan(total, count)), strict=True))

    @functools.cached_property
    def _image_count(self) -> ImageCount:
        return ImageCount(self.distribute_strategy)

    def _batch(self, data) -> Batch:
        """The images and labels that Keras hands to a step."""
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        _refuse_weights(sample_weight)
        images = observed(images, self.spec)
        if labels is None:
            return Batch.unlabelled(images)
        return Batch(images, tf.cast(labels, tf.int64))

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise ValueError(f"{method}: expected a compiled model; call compile() before")


def _refuse_weights(sample_weight, class_weight=None) -> None:
    if sample_weight is not None or class_weight is not None:
        raise ValueError("sample_weight, class_weight: expected none, since the bound has none")
