"""A deterministic chain of blocks: the way to bu_i, td_i or d_i."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from biva_tf.model import blocks, scopes
from biva_tf.model.blocks import MapBlock, MapShape
from biva_tf.model.noise import Noise
from biva_tf.model.spec import Branch, ModelSpec


class Chain(keras.layers.Layer):
    """Blocks, one after the other, each of which may read a skip connection.

    Args:
      blocks: the blocks in their order, at least one.
      name: the chain's name.
    """

    def __init__(self, blocks: Sequence[MapBlock], *, name: str):
        super().__init__(name=name)
        self.blocks = list(blocks)
        self.out_shape: MapShape = self.blocks[-1].out_shape
        self.built = True

    def call(
        self,
        x: tf.Tensor,
        skips: Sequence[tf.Tensor] | None = None,
        *,
        noise: Noise,
        training: bool = False,
    ) -> list[tf.Tensor]:
        """The maps of all blocks; the last one is the chain's result.

        Args:
          x: what the first block reads, [rows, height, width, channels].
          skips: elu of the map that each block reads beside that; None: none reads one.
          noise: the noise of the dropout.
          training: whether dropout is active.
        """
        maps = []
        for j, block in enumerate(self.blocks):
            x = block(x, None if skips is None else skips[j], noise=noise, training=training)
            maps.append(x)
        return maps


def inference_chain(
    spec: ModelSpec, branch: Branch, level: int, in_shape: MapShape, skip_shape: MapShape | None
) -> Chain:
    """The chain to bu_i or td_i. All its blocks read the same skip connection, if there is one."""
    chain, shape = [], in_shape
    for j, block in enumerate(spec.stages[level - 1].blocks):
        made = blocks.make(
            block,
            shape,
            skip_shape,
            residual=(level, j) != (1, 0),  # the first block reads the image itself
            dropout=spec.dropout_inference,
            name=scopes.inference_block(branch, level, j),
        )
        chain.append(made)
        shape = made.out_shape
    return Chain(chain, name=f"{branch.value}_{level}")


def generative_chain(
    spec: ModelSpec, level: int, in_shape: MapShape, reverses: Chain, above: Chain | None
) -> Chain:
    """The chain to d_i.

    Args:
      spec: the model's spec.
      level: i.
      in_shape: the shape of the latents as a map.
      reverses: the chain to bu_i, whose sizes it goes through in reverse.
      above: the chain to d_{i+1}, of whose blocks each gives a block here its skip connection; None
        for no skip connections.
    """
    chain, shape = [], in_shape
    for j, block in enumerate(reversed(spec.stages[level - 1].blocks)):
        made = blocks.make(
            block,
            shape,
            None if above is None else above.blocks[j].out_shape,
            out_size=reverses.blocks[-1 - j].in_shape[:2],
            residual=j > 0,
            dropout=spec.dropout_generative,
            name=scopes.generative_block(spec.num_levels, level, j),
        )
        chain.append(made)
        shape = made.out_shape
    return Chain(chain, name=f"d_{level}")
