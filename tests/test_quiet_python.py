"""In a user's own Python process, the library prints no notes and leaves TensorFlow's options."""

from conftest import run

_SCRIPT = """
import tensorflow as tf

import biva_tf
from biva_tf.model import architectures

options = tf.config.optimizer.get_experimental_options()


def refuse(options):
    raise AssertionError(f"process-wide options were set: {options}")


tf.config.optimizer.set_experimental_options = refuse
model = biva_tf.build(architectures.get("tiny_conv"))
shape = model.spec.image_shape
for rows in range(1, 9):
    images = tf.zeros((rows, *shape))
    model(images)
    if rows <= 6:
        model.score(images.numpy())
for _ in range(2):
    model.sample(3)
assert tf.config.optimizer.get_experimental_options() == options
"""


def test_calls_of_many_shapes_warn_of_nothing_and_change_no_option_of_the_process():
    result = run("-c", _SCRIPT)
    assert result.returncode == 0, result.stderr
    assert "retracing" not in result.stdout + result.stderr
