"""A model in training: the distributed step and the evaluations, on one device or on many."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from biva_tf.data.batches import Batches
from biva_tf.data.images import Batch
from biva_tf.data.pipeline import Examples
from biva_tf.errors import Setting, SettingsError
from biva_tf.inference import chunks, objectives
from biva_tf.inference.objectives import Terms
from biva_tf.inference.scoring import Scorer
from biva_tf.model.network import Network
from biva_tf.model.spec import ModelSpec
from biva_tf.nn.compute import Compute
from biva_tf.runs.config import RunConfig
from biva_tf.training import supervision
from biva_tf.training.optimizer import Adamax, FlooredExponentialDecay
from biva_tf.training.step import EVALUATION, Objective, TrainingStep, bound_metrics

Metrics = dict[str, float]


class Trainer:
    """A model, its optimizer, and the steps that run under a strategy.

    Args:
      spec: the model's spec.
      config: the run's settings.
      strategy: from `devices.make_strategy`.
      classifier_weight: alpha, for a spec with classes. Every second row of its batches is labelled
        (`TrainingData.labelled`).

    Raises:
      SettingsError: the batch does not divide over the replicas, or not into pairs of a labelled
        and an unlabelled image.
    """

    def __init__(
        self,
        spec: ModelSpec,
        config: RunConfig,
        strategy: tf.distribute.Strategy,
        classifier_weight: float = 1.0,
    ):
        self._supervision = supervision.of(spec, alternating=True)
        replicas, together = strategy.num_replicas_in_sync, self._supervision.together
        if config.jit_compile and not isinstance(strategy, tf.distribute.OneDeviceStrategy):
            got = f"{replicas} replicas"
            raise SettingsError(Setting("jit_compile"), f": expected one device, got {got}")
        if config.batch_size % (together * replicas):
            expected = f"a multiple of the {replicas} replicas"
            if together == 2:
                expected = f"a multiple of twice the {replicas} replicas, for a model with classes"
            got = f"{config.batch_size}"
            raise SettingsError(Setting("batch_size"), f": expected {expected}, got {got}")
        self.config = config
        self.strategy = strategy
        keras.utils.set_random_seed(config.seed)
        with strategy.scope():
            self.model = Network(spec, Compute(config.conv, config.precision))
            self.optimizer = Adamax(
                FlooredExponentialDecay(
                    config.learning_rate,
                    config.learning_rate_decay,
                    config.learning_rate_floor,
                    config.learning_rate_warmup_steps,
                ),
                ema_decay=config.ema_decay,
                ema_warmup=config.ema_warmup,
            )
            self.optimizer.build(self.model.trainable_variables)
        objective = Objective(
            free_bits=config.free_bits,
            free_bits_mode=config.free_bits_mode,
            kl=config.kl,
            kl_weight=config.kl_weight,
            kl_warmup_steps=config.kl_warmup_steps,
            classifier_weight=classifier_weight,
            bound_weight=config.bound_weight,
            clip_norm=config.clip_norm,
            skip_gradient_norm=config.skip_gradient_norm,
        )
        self._step = TrainingStep(
            self.model,
            self.optimizer,
            objective,
            config.seed,
            alternating=True,
            jit_compile=config.jit_compile,
        )
        self.train_step = tf.function(
            self._train_step, autograph=False, jit_compile=config.jit_compile or None
        )
        rows = chunks.PARALLEL * config.batch_size // replicas
        self._scorer = Scorer(self.model, max_rows=rows)

    @property
    def step(self) -> int:
        """The number of training steps done."""
        return int(self.optimizer.iterations.numpy())

    def initialise(self, images: np.ndarray) -> None:
        """Data-dependent initialisation on the first batch; the averages start from its result."""
        self._step.initialise(images)

    def distribute(self, data: Batches, first_step: int, last_step: int) -> Iterator:
        """The batches of the steps first_step to last_step - 1, as `train_step` takes them.

        Every host reads the parts of its own replicas alone.
        """
        replicas = self.strategy.num_replicas_in_sync

        def host_batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
            count = replicas // context.num_input_pipelines
            return data.batches(
                first_step,
                last_step,
                self.config.batch_size,
                context.input_pipeline_id * count,
                count,
                replicas,
            )

        return iter(self.strategy.distribute_datasets_from_function(host_batches))

    def _train_step(self, batch: Batch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """One step on a distributed global batch: the loss and the metrics of `TrainingStep`."""
        result = self.strategy.run(self._step, args=(batch,))
        # All replicas have the same values, after an all-reduce.
        return tf.nest.map_structure(
            lambda value: self.strategy.experimental_local_results(value)[0], result
        )

    def of_all_hosts(self, value: int) -> list[int]:
        """The values of all replicas, which each host gives for its own; waits for all hosts."""
        if not isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return [value]
        values = self.strategy.experimental_distribute_values_from_function(
            lambda _: tf.constant([value])
        )
        return self.strategy.gather(values, axis=0).numpy().tolist()

    def evaluate(self, images: Examples) -> Metrics:
        """The ELBO of images with the weights that the model has now, and its terms.

        One sample of the posterior per image. The same images get the same noise in every
        evaluation of a run.

        Returns:
          Means over the images: "elbo", "reconstruction" and "kl/LATENT" in nats, "bits_per_dim";
          of a model with classes "accuracy", too. Of text, the "perplexity" in place of bits.
        """
        (scores,) = self._scorer.image_scores(images, seed=(self.config.seed, EVALUATION))
        terms = Terms(scores.reconstruction, scores.kl)
        metrics = bound_metrics(self.model.spec, terms)
        means = {name: float(np.mean(values)) for name, values in metrics.items()}
        if images.tokens is not None:
            means["perplexity"] = objectives.perplexity(means["elbo"] * len(images), images.tokens)
        return means | self._supervision.accuracy(self.model, images, self.config.seed)

    def averaged_weights(self) -> contextlib.AbstractContextManager:
        """While active, the model has the moving averages as its weights, if the run keeps them."""
        return self.optimizer.averaged_weights()
