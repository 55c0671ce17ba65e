"""Five training steps on N logical devices: python replicas.py N OUT.npz SETTINGS_JSON [CLASSES]

With CLASSES above 0, of a model with classes, every second row of whose batches is labelled.

It is a separate program because a process cannot split its devices once they are in use.
"""

import dataclasses
import json
import sys

import numpy as np

from biva_tf.data.images import Images
from biva_tf.data.pipeline import TrainingData
from biva_tf.model import architectures
from biva_tf.model.spec import Classes
from biva_tf.runs.config import RunConfig
from biva_tf.training.devices import make_strategy
from biva_tf.training.trainer import Trainer


def main(devices, out, settings, classes=0):
    devices, classes = int(devices), int(classes)
    config = RunConfig(architecture="tiny_dense", batch_size=8, **json.loads(settings))
    spec, labelled = architectures.get("tiny_dense"), None
    if classes:
        spec = dataclasses.replace(spec, classes=Classes(classes, True, 8))
        labelled = np.arange(0, 40, 3)
    trainer = Trainer(spec, config, make_strategy("mirrored", devices))
    assert trainer.strategy.num_replicas_in_sync == devices
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
    labels = np.arange(40) % max(classes, 1)
    data = TrainingData(Images(pixels, "dynamic", 0, labels), 0, labelled)
    trainer.initialise(data.batch(0, 8).images)
    batches = trainer.distribute(data, 0, 5)
    steps = [[v.numpy() for v in trainer.train_step(next(batches))[1].values()] for _ in range(5)]
    with trainer.averaged_weights():
        evaluation = trainer.evaluate(data.images.first(7))
    optimizer = trainer.optimizer
    np.savez(
        out,
        metrics=np.array(steps),
        evaluation=list(evaluation.values()),
        weights=np.concatenate([np.ravel(v) for v in trainer.model.trainable_variables]),
        averages=np.concatenate([np.ravel(v) for v in optimizer.moving_averages.values]),
        step=trainer.step,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
