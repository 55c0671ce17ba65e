"""What a block is: to the stages that call it, and to those who write their own."""

from typing import Protocol, runtime_checkable

import tensorflow as tf

from biva_tf.model.noise import Noise

MapShape = tuple[int, int, int]  # height, width, channels


@runtime_checkable
class MapBlock(Protocol):
    """A Keras layer that takes a map, and perhaps a skip connection's map, to a map.

    Both passes are chains of blocks; two more blocks merge maps before a posterior. A spec names a
    block by a `BlockKind`, whose `make` gets what `blocks.make` gets and gives the layer. It gives
    its layers names that begin with the `name` that it gets: they are the paths of the weights in
    checkpoints.

    Attributes:
      in_shape: the shape of the input map.
      out_shape: the shape of the output map.
      multiply_adds: of a call on one row, those of products with weights and of other products of
        matrices. `tools.bench.flops` adds them up.
    """

    in_shape: MapShape
    out_shape: MapShape
    multiply_adds: int

    def __call__(
        self, x: tf.Tensor, skip: tf.Tensor | None = None, *, noise: Noise, training: bool = False
    ) -> tf.Tensor:
        """x [rows, *in_shape], elu(skip) [rows, *skip_shape] or None, to [rows, *out_shape].

        A row of the output depends on this row of the inputs alone. The first call on a batch is
        the initialisation, in which layers of `nn.weight_norm` scale their outputs.

        Args:
          x: the input map, without an activation.
          skip: the skip connection's map, if the block was made with a `skip_shape`. The caller
            applies the activation, since several blocks read the same map.
          noise: the noise of dropout.
          training: whether dropout is active.
        """
