"""The layers of the blocks that specs name."""

import functools
from collections.abc import Callable

from biva_tf.model.block_specs import AttentionSpec, BlockSpec
from biva_tf.model.blocks import own_block
from biva_tf.model.blocks.attention import AttentionBlock
from biva_tf.model.blocks.block import MapBlock, MapShape
from biva_tf.model.blocks.gated import GatedBlock
from biva_tf.model.kinds import BlockKind


def make(
    spec: BlockKind,
    in_shape: MapShape,
    skip_shape: MapShape | None = None,
    *,
    out_size: tuple[int, int] | None = None,
    residual: bool = True,
    dropout: float = 0.0,
    name: str,
) -> MapBlock:
    """The block that a spec names.

    Args:
      spec: the block's spec. Its own `make`, if it has one, gets all other arguments.
      in_shape: the shape of the input map.
      skip_shape: the shape of the skip connection's map, which may be of another size; or None.
      out_size: None for a bottom-up block, whose stride makes the map smaller, and for one that
        merges maps; the height and width of the output for a top-down block, which undoes the
        stride of the bottom-up block of the same spec.
      residual: whether the block may add its input to its output. The blocks that read the image
        and the latents may not.
      dropout: the dropout rate within the block, in training.
      name: the name of the layer, which is the scope of the original's variables.

    Raises:
      SpecError: the spec's own `make` gives what is no block; see `own_block.check`.
    """
    made_by = spec.make if spec.makes_itself() else functools.partial(_layer_of(spec), spec)
    block = made_by(
        in_shape, skip_shape, out_size=out_size, residual=residual, dropout=dropout, name=name
    )
    if spec.makes_itself():
        own_block.check(block, spec, in_shape, skip_shape, out_size, name)
    return block


def _layer_of(spec: BlockKind) -> Callable[..., MapBlock]:
    """The layer of one of the project's own blocks."""
    match spec:
        case AttentionSpec():
            return AttentionBlock
        case BlockSpec():
            return GatedBlock
    raise NotImplementedError(f"no block is made of {spec!r}")
