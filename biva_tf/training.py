"""The distributed training and evaluation steps: the same code on one device and on many."""

import contextlib
import dataclasses
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from biva_tf import chunks, layers, objectives, plans
from biva_tf.compute import Compute
from biva_tf.config import Config
from biva_tf.data.images_view import Images
from biva_tf.data.pipeline import TrainingData
from biva_tf.errors import SettingsError
from biva_tf.model import BIVA
from biva_tf.noise import SeededNoise
from biva_tf.optimizer import Adamax, FlooredExponentialDecay
from biva_tf.spec import ModelSpec

# Independent noise for each use, all from the run's seed.
_TRAINING, _EVALUATION, _INITIALISATION = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class StepMetrics:
    """What a training step reports, means over the global batch, as scalars unless said otherwise.

    Attributes:
      loss: the training loss, nats.
      elbo: the ELBO without free bits and KL weight, nats.
      reconstruction: log p(x|z), nats.
      kl: of each latent, [latents], nats.
      gradient_norm: global norm of the gradient, before clipping.
      learning_rate, kl_weight: of this step.
    """

    loss: tf.Tensor
    elbo: tf.Tensor
    reconstruction: tf.Tensor
    kl: tf.Tensor
    gradient_norm: tf.Tensor
    learning_rate: tf.Tensor
    kl_weight: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The ELBO of a split, means over its images, nats: one sample of the posterior per image."""

    elbo: float
    reconstruction: float
    kl: np.ndarray


class Trainer:
    """A model, its optimizer, and the steps that run under a strategy.

    The noise of a step is a function of (seed, step, latent, row of the global batch), so the
    number of replicas does not change it.

    Args:
      spec: of the model.
      config: of the run.
      strategy: from `biva_tf.strategy.make`.

    Raises:
      SettingsError: the batch does not divide over the replicas.
    """

    def __init__(self, spec: ModelSpec, config: Config, strategy: tf.distribute.Strategy):
        replicas = strategy.num_replicas_in_sync
        if config.batch_size % replicas:
            expected = f"a multiple of the {replicas} replicas"
            raise SettingsError(f"--batch_size: expected {expected}, got {config.batch_size}")
        self.config = config
        self.strategy = strategy
        keras.utils.set_random_seed(config.seed)
        with strategy.scope():
            self.model = BIVA(spec, Compute(config.conv, config.precision))
            self.optimizer = Adamax(
                FlooredExponentialDecay(
                    config.learning_rate, config.learning_rate_decay, config.learning_rate_floor
                ),
                ema_decay=config.ema_decay,
            )
            self.optimizer.build(self.model.trainable_variables)

    @property
    def step(self) -> int:
        """The number of training steps done."""
        return int(self.optimizer.iterations.numpy())

    def initialise(self, images: np.ndarray) -> None:
        """Data-dependent initialisation on the first batch; the averages start from its result."""
        noise = self._noise(_INITIALISATION)
        with self.strategy.scope(), layers.data_dependent_initialisation():
            self.model(tf.constant(images), plan=self._plan, noise=noise, training=True)
        self.optimizer.reset_averages()

    def distribute(self, data: TrainingData, first_step: int, last_step: int) -> Iterator:
        """The batches of the steps first_step to last_step - 1, as `train_step` takes them.

        Every host reads the parts of its own replicas alone.
        """
        replicas = self.strategy.num_replicas_in_sync

        def of_host(context: tf.distribute.InputContext) -> tf.data.Dataset:
            count = replicas // context.num_input_pipelines
            return data.batches(
                first_step,
                last_step,
                self.config.batch_size,
                context.input_pipeline_id * count,
                count,
                replicas,
            )

        return iter(self.strategy.distribute_datasets_from_function(of_host))

    @tf.function(autograph=False)
    def train_step(self, images) -> tuple[tf.Tensor, ...]:
        """One step on a distributed global batch; gives the fields of `StepMetrics`, in order."""
        per_replica = self.strategy.run(self._replica_train_step, args=(images,))
        return self._first(per_replica)

    def evaluate(self, images: Images) -> Evaluation:
        """The ELBO of images with the weights that the model has now.

        The same images get the same noise in every evaluation of a run.
        """
        replicas = self.strategy.num_replicas_in_sync
        size = -(-min(self.config.batch_size, len(images)) // replicas)  # of a replica's batch
        operands = self._operands(size)
        batches = replicas * min(chunks.AT_ONCE, -(-len(images) // (size * replicas)))
        totals = np.zeros([1 + len(self.model.spec.latents)])  # in float64
        for start in range(0, len(images), batches * size):
            rows = np.arange(start, start + batches * size)
            # The last batches are filled up with the last image, at weight 0.
            of_rows = (images[np.minimum(rows, len(images) - 1)], rows < len(images), rows)
            of_batches = [tf.constant(a.reshape(batches, size, *a.shape[1:])) for a in of_rows]
            totals += self._evaluation_step(*self._split(*of_batches), operands).numpy()
        means = totals / len(images)
        return Evaluation(means[0] - means[1:].sum(), means[0], means[1:])

    def _split(self, *tensors: tf.Tensor):
        """Global tensors as per-replica ones, in contiguous parts."""
        parts = self.strategy.num_replicas_in_sync
        return [
            self.strategy.experimental_distribute_values_from_function(
                lambda context, t=t: tf.split(t, parts)[context.replica_id_in_sync_group]
            )
            for t in tensors
        ]

    @tf.function(autograph=False)
    def _operands(self, rows: int):
        return self.strategy.run(layers.operands, args=([self.model], rows))

    @tf.function(autograph=False)
    def _evaluation_step(self, images, counted, rows, operands) -> tf.Tensor:
        args = (images, counted, rows, operands)
        return self._first(self.strategy.run(self._replica_evaluation, args=args))

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """While active, the model has the moving averages as its weights."""
        self.optimizer.swap_averages()
        try:
            yield
        finally:
            self.optimizer.swap_averages()

    @property
    def _plan(self) -> plans.Plan:
        return plans.posterior(self.model.spec)

    def _noise(self, use: int) -> SeededNoise:
        return SeededNoise(tf.constant([self.config.seed, use], tf.int64))

    def _first(self, per_replica):
        """The value of the first replica; after an all-reduce all have the same."""
        local = self.strategy.experimental_local_results
        return tf.nest.map_structure(lambda value: local(value)[0], per_replica)

    def _replica_train_step(self, images):
        config = self.config
        context = tf.distribute.get_replica_context()
        replica_rows = config.batch_size // self.strategy.num_replicas_in_sync
        step = tf.cast(self.optimizer.iterations.value, tf.int64)
        noise = self._noise(_TRAINING).fold(step, replica_rows * context.replica_id_in_sync_group)
        kl_weight = objectives.linear_warmup(step, config.kl_warmup_steps, config.kl_weight)

        def batch_mean(value):
            total = tf.reduce_sum(value, axis=0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, total) / config.batch_size

        variables = [v.value for v in self.model.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            output = self.model(images, plan=self._plan, noise=noise, training=True)
            t = objectives.terms(output, images)
            rows = objectives.training_loss(
                t,
                free_bits=config.free_bits,
                free_bits_mode=config.free_bits_mode,
                kl_weight=kl_weight,
                batch_mean=batch_mean,
            )
            loss = tf.reduce_sum(rows) / config.batch_size  # the all-reduce sums over replicas
        gradients = tape.gradient(loss, variables)
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        norm = tf.linalg.global_norm(gradients)
        if config.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, config.clip_norm, use_norm=norm)
        learning_rate = tf.identity(self.optimizer.learning_rate)
        context.merge_call(self.optimizer.apply_summed, args=(gradients,))
        means = batch_mean(
            tf.concat([rows[:, None], t.bound[:, None], t.reconstruction[:, None], t.kl], axis=1)
        )
        return means[0], means[1], means[2], means[3:], norm, learning_rate, kl_weight

    def _replica_evaluation(self, images, counted, rows, operands):
        """Sums of the terms over batches, each argument [batches, size, ...], side by side."""

        def of_batch(batch):
            images, counted, rows = batch
            noise = self._noise(_EVALUATION).fold(0, rows[0])
            with layers.prepared([self.model], operands):
                output = self.model(images, plan=self._plan, noise=noise)
            t = objectives.terms(output, images)
            terms = tf.concat([t.reconstruction[:, None], t.kl], axis=1)
            return tf.linalg.matvec(terms, tf.cast(counted, tf.float32), transpose_a=True)

        sums = tf.map_fn(
            of_batch,
            (images, counted, rows),
            parallel_iterations=chunks.AT_ONCE,
            fn_output_signature=tf.TensorSpec([1 + len(self.model.spec.latents)], tf.float32),
        )
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(sums, axis=0))
