"""Measures a model on this machine: python -m tools.benchmark --architecture=mnist_l6 --mode=iw

--mode=iw: the importance-weighted bound, as scoring computes it and with a whole pass per sample,
turn by turn. Prints one JSON object: medians of seconds per image of L_K both ways, and the share
saved by computing what does not depend on the sample once per image.
"""

import json
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

import biva_tf
from biva_tf import architectures, objectives, plans, scoring, strategy
from biva_tf.noise import SeededNoise

_ARCHITECTURE = flags.DEFINE_string("architecture", "mnist_l6", "The model.")
_MODE = flags.DEFINE_enum("mode", "iw", ["iw"], "What to measure.")
_SAMPLES = flags.DEFINE_integer("samples", 100, "K of L_K.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 64, "Pairs of image and sample at once.", lower_bound=1)
_IMAGES = flags.DEFINE_integer("images", 4, "Images at once.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Of which the median is given.", lower_bound=1)


def _iw() -> dict:
    model = biva_tf.build(architectures.read(_ARCHITECTURE.value))
    images, samples = _IMAGES.value, _SAMPLES.value
    x = np.random.default_rng(0).integers(0, 2, (images, *model.spec.image_shape))
    x = x.astype(np.float32)
    chunks = scoring.Chunks(model, (0,), samples, "sample", 0, _BATCH.value)
    copies = max(1, _BATCH.value // images)
    tiled = tf.constant(np.tile(x, (copies, 1, 1, 1)))

    @tf.function(autograph=False)
    def whole_pass(step):
        noise = SeededNoise(0).fold(step)
        output = model(tiled, plan=plans.posterior(model.spec), noise=noise)
        return objectives.terms(output, tiled).bound

    def shared():
        chunks.sums(x, 0)[0][0].bound.numpy()

    def plain():
        for step in range(0, samples, copies):
            whole_pass(tf.constant(step)).numpy()

    seconds = {"shared": [], "plain": []}
    for turn in range(_ROUNDS.value + 1):  # the first traces
        for name, call in (("shared", shared), ("plain", plain)):
            start = time.perf_counter()
            call()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    # A whole pass per sample takes full batches, the last of them perhaps beyond K.
    beyond = -(-samples // copies) * copies / samples
    medians = {name: float(np.median(values)) / images for name, values in seconds.items()}
    medians["plain"] /= beyond
    return {
        "architecture": _ARCHITECTURE.value,
        "mode": "iw",
        "samples": samples,
        "batch": _BATCH.value,
        "images": images,
        "seconds_per_image": medians["shared"],
        "seconds_per_image_without_sharing": medians["plain"],
        "share_saved": 1 - medians["shared"] / medians["plain"],
    }


def main(argv: list[str]) -> None:
    """The command."""
    del argv
    strategy.without_graph_rewriting()
    print(json.dumps(_iw()))


if __name__ == "__main__":
    app.run(main)
