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


def make_config(architecture: str, batch: int, compute: Compute) -> RunConfig:
    """The settings of a run whose steps are measured."""
    return RunConfig(
        architecture=architecture,
        batch_size=batch,
        conv=compute.conv,
        precision=compute.precision,
        ema_decay=0.999,
        ema_warmup=False,
    )


def make_trainer(config: RunConfig) -> Trainer:
    """An untrained model in training, on one device."""
    return Trainer(architectures.read(config.architecture), config, make_strategy("one_device"))


def one_step(trainer: Trainer, images: np.ndarray) -> Callable[[], object]:
    """A function that makes a training step on the images and waits for its loss."""
    batch = Batch.unlabelled(tf.constant(images))
    return lambda: trainer.train_step(batch)[0].numpy()


def measured_once(path: Path, configs: Mapping[str, RunConfig]) -> dict[str, float]:
    """The median seconds of a training step of each model, kept in a file.

    Models that are not in the file yet take turns and are added to it. Those in it are not measured
    again, so that what was planned with their times stays as it was.

    Args:
      path: the JSON file.
      configs: by the model's name, the settings of a run of it.
    """
    known = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in configs if name not in known]
    runs = []
    for name in missing:
        subject = make_trainer(configs[name])
        images = random_images(configs[name].batch_size, subject.model.spec)
        subject.initialise(images)
        runs.append(one_step(subject, images))
    times = timing.by_turns(runs, _ROUNDS, warm_up=2)
    medians = [float(np.median(seconds)) for seconds in times]
    if missing:
        known |= dict(zip(missing, medians, strict=True))
        write_json(path, known)
    return known
