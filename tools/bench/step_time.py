"""The time of a training step."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from biva_tf.data.images import Batch
from biva_tf.files import write_json
from biva_tf.model import architectures
from biva_tf.model.spec import ModelSpec
from biva_tf.nn.compute import Compute
from biva_tf.runs.config import RunConfig
from biva_tf.training.devices import make_strategy
from biva_tf.training.trainer import Trainer
from tools.bench import timing

_ROUNDS = 9


def random_images(number: int, spec: ModelSpec) -> np.ndarray:
    """Images of random black and white pixels, float32 [number, *spec.image_shape]."""
    shape = (number, *spec.image_shape)
    return np.random.default_rng(0).integers(0, 2, shape).astype(np.float32)


def make_trainer(architecture: str, batch: int, compute: Compute) -> Trainer:
    """An untrained model in training, on one device."""
    config = RunConfig(
        architecture=architecture,
        batch_size=batch,
        conv=compute.conv,
        precision=compute.precision,
        ema_decay=0.999,
        ema_warmup=False,
    )
    return Trainer(architectures.read(architecture), config, make_strategy("one_device"))


def one_step(trainer: Trainer, images: np.ndarray) -> Callable[[], object]:
    """A function that makes a training step on the images and waits for its loss."""
    batch = Batch.unlabelled(tf.constant(images))
    return lambda: trainer.train_step(batch)[0].numpy()


def measured_once(
    path: Path, models: Mapping[str, tuple[str, Compute]], batch: int
) -> dict[str, float]:
    """The median seconds of a training step of each model, kept in a file.

    Models that are not in the file yet take turns and are added to it. Those in it are not measured
    again, so that what was planned with their times stays as it was.

    Args:
      path: the JSON file.
      models: by name, the architecture and how it computes.
      batch: the batch size.
    """
    known = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in models if name not in known]
    runs = []
    for name in missing:
        architecture, compute = models[name]
        subject = make_trainer(architecture, batch, compute)
        images = random_images(batch, subject.model.spec)
        subject.initialise(images)
        runs.append(one_step(subject, images))
    times = timing.by_turns(runs, _ROUNDS, warm_up=2)
    medians = [float(np.median(seconds)) for seconds in times]
    if missing:
        known |= dict(zip(missing, medians, strict=True))
        write_json(path, known)
    return known
