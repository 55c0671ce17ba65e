"""The time of a training step."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from biva_tf.data.images import Batch
from biva_tf.model import architectures
from biva_tf.model.spec import ModelSpec
from biva_tf.nn.compute import Compute
from biva_tf.runs.config import RunConfig
from biva_tf.training.devices import make_strategy
from biva_tf.training.trainer import Trainer
from tools.bench import timing


def random_images(number: int, spec: ModelSpec) -> np.ndarray:
    """Images of random black and white pixels, float32 [number, *spec.image_shape]."""
    shape = (number, *spec.image_shape)
    return np.random.default_rng(0).integers(0, 2, shape).astype(np.float32)


def trainer(architecture: str, batch: int, compute: Compute) -> Trainer:
    """An untrained model in training, on one device."""
    config = RunConfig(
        architecture=architecture,
        batch_size=batch,
        conv=compute.conv,
        precision=compute.precision,
        ema_decay=0.999,
    )
    return Trainer(architectures.read(architecture), config, make_strategy("one_device"))


def step(trained: Trainer, images: np.ndarray) -> Callable[[], object]:
    """A function that makes a training step on the images and waits for its loss."""
    batch = Batch.unlabelled(tf.constant(images))
    return lambda: trained.train_step(batch)[0].numpy()


def seconds_per_step(
    models: Sequence[tuple[str, Compute]], batch: int, rounds: int = 9
) -> list[float]:
    """The median seconds of a training step of each model; they take turns.

    Args:
      models: the architecture of each, and how it computes.
      batch: the batch size.
      rounds: the steps of each.
    """
    steps = []
    for architecture, compute in models:
        model = trainer(architecture, batch, compute)
        images = random_images(batch, model.model.spec)
        model.initialise(images)
        steps.append(step(model, images))
    times = timing.by_turns(steps, rounds, warm_up=2)
    return [float(np.median(seconds)) for seconds in times]
