"""The training step: what `biva_tf.train` and Keras's `fit` run on every replica."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from biva_tf.choices import FREE_BITS_MODES, KLS
from biva_tf.data.images import Batch
from biva_tf.inference import objectives
from biva_tf.model.network import Network
from biva_tf.model.noise import SeededNoise
from biva_tf.model.spec import ModelSpec
from biva_tf.nn import weight_norm
from biva_tf.settings import Settings, setting
from biva_tf.training import supervision
from biva_tf.training.optimizer import Adamax, apply_summed

# Each use of a run's seed has its own constant, so that no two uses share noise.
TRAINING, EVALUATION, INITIALISATION = 0, 1, 2


@keras.saving.register_keras_serializable("biva_tf")
@dataclasses.dataclass(frozen=True)
class Objective(Settings):
    """The training objective: the negative ELBO with free bits and a KL weight.

    For a spec with classes, that of semi-supervised learning (Kingma et al. 2014, eq. 9): the
    negative bound on log p(x,y) of labelled images, the negative bound on log p(x) of the others,
    and the negative log q(y|x) of the labels times `classifier_weight`.

    Attributes:
      free_bits, free_bits_mode: as in `objectives.training_loss`.
      kl_weight: beta.
      kl_warmup_steps: steps over which the KL weight rises from 0 to `kl_weight`.
      classifier_weight: alpha.
      bound_weight: what multiplies the bounds; 0 trains the classifier on the labels alone.
      clip_norm: the global norm that the gradient is clipped to, after the all-reduce; 0: none.
      skip_gradient_norm: a step whose gradient has a larger global norm, before it is clipped, or
        one that is not finite, changes nothing but the number of steps (Child 2021); 0: no step is
        skipped.
      kl: how the loss and the step's metrics have the KL of a latent; as in `objectives.terms`.

    Raises:
      SettingsError: one of them is out of its range.
    """

    free_bits: float = setting(2.0, lower=0.0)
    free_bits_mode: str = setting("per_example", choices=FREE_BITS_MODES)
    kl_weight: float = setting(1.0, lower=0.0)
    kl_warmup_steps: int = setting(0, lower=0)
    classifier_weight: float = setting(1.0, lower=0.0)
    bound_weight: float = setting(1.0, lower=0.0)
    clip_norm: float = setting(0.0, lower=0.0)
    skip_gradient_norm: float = setting(0.0, lower=0.0)
    kl: str = setting("sampled", choices=KLS)

    def get_config(self) -> dict:
        """The fields by name, for Keras."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> "Objective":
        """The objective of `get_config`."""
        return cls(**config)


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingStep:
    """A training step of a model under any strategy.

    The noise is a function of (seed, step, latent, row of the global batch), so the number of
    replicas does not change it.

    Attributes:
      model: the network to train.
      optimizer: the optimizer of its weights, built: an `Adamax`, or one of Keras's.
      objective: what the step minimises.
      seed: the seed of the noise.
      alternating: whether rows 0, 2, 4, ... of a batch are labelled and the others are not, which
        makes a step of a spec with classes faster; otherwise any row may be labelled.
      jit_compile: whether XLA compiles the step.
    """

    model: Network
    optimizer: keras.optimizers.Optimizer
    objective: Objective
    seed: int
    alternating: bool = False
    jit_compile: bool = False

    def __call__(self, batch: Batch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Trains on a replica's part of the global batch; in replica context.

        Returns:
          The loss, nats; and the metrics by name, scalars. Both are means over the global batch. A
          "/" in a name makes groups: "kl/z1_bu" is the KL of the latent z1_bu.
        """
        context = tf.distribute.get_replica_context()
        objective, spec = self.objective, self.model.spec
        first_row, global_rows = _rows(batch.images, context)
        step = tf.cast(self.optimizer.iterations.value, tf.int64)
        noise = seeded_noise(self.seed, TRAINING, for_xla=self.jit_compile).fold(step, first_row)
        kl_weight = objectives.linear_warmup(step, objective.kl_warmup_steps, objective.kl_weight)

        def batch_mean(rows):
            total = tf.reduce_sum(rows, axis=0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, total) / global_rows

        weights = [v.value for v in self.model.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            terms, of_labels = self._supervision.passes(
                self.model, with_a_row(batch), noise, objective.kl
            )
            terms = objectives.Terms(*(first_rows(values, batch) for values in terms))
            if of_labels is not None:
                rows = (first_rows(values, batch) for values in of_labels)
                of_labels = objectives.LabelTerms(*rows)
            row_losses = self._row_losses(terms, kl_weight, batch_mean)
            if of_labels is not None:
                row_losses *= objective.bound_weight
                row_losses += objective.classifier_weight * of_labels.nats
            loss = tf.reduce_sum(row_losses) / global_rows  # the all-reduce sums over replicas
        gradients = tape.gradient(loss, weights)
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        norm = tf.linalg.global_norm(gradients)
        skipped = None
        if objective.skip_gradient_norm:
            finite = tf.math.is_finite(norm)
            skipped = tf.logical_not(finite) | (norm > objective.skip_gradient_norm)
        if objective.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, objective.clip_norm, use_norm=norm)
        learning_rate = tf.identity(self.optimizer.learning_rate)
        apply_summed(self.optimizer, gradients, self.model.trainable_variables, skipped)

        by_row = _row_metrics(spec, terms, row_losses)
        means = tf.unstack(batch_mean(tf.stack(list(by_row.values()), axis=1)))
        metrics = dict(zip(by_row, means, strict=True))
        if of_labels is not None:
            values = _label_metrics(*tf.unstack(batch_mean(tf.stack(of_labels, axis=1))))
            metrics |= dict(zip(self._supervision.label_metrics, values, strict=True))
        of_step = _step_metrics(objective, norm, learning_rate, kl_weight, skipped)
        return metrics["loss"], metrics | of_step

    @property
    def _supervision(self) -> supervision.Unsupervised:
        return supervision.of(self.model.spec, alternating=self.alternating)

    def initialise(self, images: np.ndarray | tf.Tensor) -> None:
        """Data-dependent initialisation on a batch of images [rows, *image_shape].

        The moving averages start from its result.
        """
        noise = seeded_noise(self.seed, INITIALISATION)
        initialising = weight_norm.data_dependent_initialisation(self.model)
        images = tf.convert_to_tensor(images)
        classes = self._supervision.first_classes(len(images))
        with self.model.distribute_strategy.scope(), initialising:
            self.model(images, noise=noise, classes=classes, training=True)
        if isinstance(self.optimizer, Adamax):
            self.optimizer.reset_averages()

    def row_metrics(self, terms: objectives.Terms) -> dict[str, tf.Tensor]:
        """The metrics of rows that are not trained on, by name, each [rows].

        The loss has the KL weight of the step that the optimizer is at.
        """
        objective = self.objective
        kl_weight = objectives.linear_warmup(
            self.optimizer.iterations.value, objective.kl_warmup_steps, objective.kl_weight
        )
        row_losses = self._row_losses(terms, kl_weight, batch_mean=None)
        return _row_metrics(self.model.spec, terms, row_losses)

    def _row_losses(self, terms, kl_weight, batch_mean) -> tf.Tensor:
        latents, columns = len(self.model.spec.latents), terms.kl.shape[1]
        return objectives.training_loss(
            terms,
            # The class has no free bits: it cannot be left unused while there are labels.
            free_bits=[self.objective.free_bits] * latents + [0.0] * (columns - latents),
            free_bits_mode=self.objective.free_bits_mode,
            kl_weight=kl_weight,
            batch_mean=batch_mean,
        )


def _row_metrics(
    spec: ModelSpec, terms: objectives.Terms, row_losses: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Metrics with a value for each row, [rows]: a step reports the mean over the global batch."""
    return {"loss": row_losses, **bound_metrics(spec, terms)}


def bound_metrics(spec: ModelSpec, terms: objectives.Terms) -> dict[str, tf.Tensor]:
    """The metrics of training and evaluation that the terms of the bound give, each [rows]."""
    bits = {}
    if spec.likelihood.x.of_fixed_size:
        bits = {"bits_per_dim": objectives.bits_per_dim(terms.bound, spec.image_shape)}
    return {
        "elbo": terms.bound,
        "reconstruction": terms.reconstruction,
        **bits,
        **{f"kl/{name}": terms.kl[:, i] for i, name in enumerate(spec.kl_names)},
    }


def _label_metrics(nats, correct, labelled) -> tuple[tf.Tensor, tf.Tensor]:
    """-log q(y|x) and the accuracy of labelled rows, from the means of `LabelTerms` over all."""
    return tf.math.divide_no_nan(nats, labelled), tf.math.divide_no_nan(correct, labelled)


def _step_metrics(
    objective: Objective, gradient_norm, learning_rate, kl_weight, skipped
) -> dict[str, tf.Tensor]:
    """Metrics with one value for the step, the same on all replicas."""
    metrics = {
        "gradient_norm": gradient_norm,  # before clipping
        "learning_rate": learning_rate,
        "kl_weight": kl_weight,
    }
    if objective.skip_gradient_norm:
        metrics["skipped"] = tf.cast(skipped, tf.float32)
    return metrics


def metric_names(spec: ModelSpec, objective: Objective) -> tuple[str, ...]:
    """The names of the metrics of a step."""
    terms = objectives.Terms(tf.zeros([1]), tf.zeros([1, len(spec.kl_names)]))
    return (
        *_row_metrics(spec, terms, tf.zeros([1])),
        *supervision.of(spec).label_metrics,
        *_step_metrics(objective, None, None, None, False),
    )


def with_a_row(batch: Batch) -> Batch:
    """The batch; one of no rows with a row of zeros, which convolutions need.

    A last, smaller batch of Keras can leave a replica without images.
    """
    if batch.images.shape[0] is not None:
        return batch
    missing = tf.cast(tf.equal(tf.shape(batch.images)[0], 0), tf.int32)
    images = tf.pad(batch.images, [[0, missing], [0, 0], [0, 0], [0, 0]])
    return Batch(tf.ensure_shape(images, batch.images.shape), tf.pad(batch.labels, [[0, missing]]))


def first_rows(values: tf.Tensor | None, batch: Batch) -> tf.Tensor | None:
    """The rows that belong to the batch, of what was computed of `with_a_row(batch)`, if it was."""
    if values is None or batch.images.shape[0] is not None:
        return values
    return values[: tf.shape(batch.images)[0]]


def seeded_noise(seed: int, use: int, *, for_xla: bool = False) -> SeededNoise:
    """The noise of a run for one of its uses."""
    return SeededNoise(tf.constant([seed, use], tf.int64), for_xla=for_xla)


def _rows(images: tf.Tensor, context: tf.distribute.ReplicaContext):
    """The index of this replica's first row in the global batch, and the size of that batch."""
    replica, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
    rows = images.shape[0]
    if rows is not None:
        return rows * replica, rows * replicas
    # The last batch of Keras's `fit` may be smaller, and smaller on some replicas than on others.
    rows = tf.shape(images)[0]
    by_replica = rows[tf.newaxis] if replicas == 1 else context.all_gather(rows[tf.newaxis], 0)
    return tf.reduce_sum(by_replica[:replica]), tf.cast(tf.reduce_sum(by_replica), tf.float32)
