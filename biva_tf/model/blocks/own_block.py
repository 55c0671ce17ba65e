"""What the layer of a block from a user's own file must keep to."""

import collections
import re
from typing import Any

import tensorflow as tf

from biva_tf.model.blocks.block import MapShape
from biva_tf.model.checks import SpecError
from biva_tf.model.kinds import BlockKind
from biva_tf.model.noise import NoNoise


def check(
    block: Any,
    spec: BlockKind,
    in_shape: MapShape,
    skip_shape: MapShape | None,
    out_size: tuple[int, int] | None,
    name: str,
) -> None:
    """Calls a new block once, on zeros, and checks what it is and gives.

    The call makes the weights that layers of Keras make when they are first called. Checkpoints and
    the optimizer need them all from the beginning, under paths that are the same in every process.

    Args:
      block: the layer that the spec's `make` gives.
      spec: its spec.
      in_shape, skip_shape, out_size, name: what `make` got.

    Raises:
      SpecError: the block does not say its shapes, gives another shape, or has weights whose path
        is not its own.
    """
    made = f"the block that is made of {type(spec).__name__}"
    for field in "in_shape", "out_shape":
        shape = getattr(block, field, None)
        if not (isinstance(shape, tuple) and len(shape) == 3):
            expected = "(height, width, channels)"
            raise SpecError(f"{field} of {made}: expected {expected}, got {shape!r}")
    if out_size is not None and block.out_shape[:2] != tuple(out_size):
        raise SpecError(
            f"out_shape of {made}: expected the out_size {tuple(out_size)} that it gets, got "
            f"{block.out_shape}"
        )
    skip = None if skip_shape is None else tf.zeros((1, *skip_shape))
    y = block(tf.zeros((1, *in_shape)), skip, noise=NoNoise(), training=False)
    if tuple(y.shape[1:]) != block.out_shape:
        expected = f"its out_shape {block.out_shape}"
        raise SpecError(f"{made}: expected an output of {expected}, got {tuple(y.shape[1:])}")
    layers = block._flatten_layers(include_self=False)
    unnamed = [layer.name for layer in layers if layer.weights and _named_by_keras(layer)]
    if unnamed:
        raise SpecError(
            f"{made}: expected a name of every layer with weights, such as "
            f'name=f"{{name}}_{unnamed[0]}", by which checkpoints find them; Keras numbers the '
            f"layer {unnamed[0]!r} anew in every process"
        )
    times = collections.Counter(weight.path for weight in block.weights)
    others = [path for path, n in times.items() if n > 1 or not path.startswith(name)]
    if others:
        raise SpecError(
            f"{made}: expected weights with paths of their own that begin with {name!r}, by which "
            f"checkpoints find them, got {others[0]!r}"
        )


def _named_by_keras(layer: Any) -> bool:
    """Whether a layer has the name that Keras gives to one without a name: its class, a number."""
    words = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
    words = re.sub("([a-z])([A-Z])", r"\1_\2", words).lower()
    return re.fullmatch(rf"{words}(_\d+)?", layer.name) is not None
