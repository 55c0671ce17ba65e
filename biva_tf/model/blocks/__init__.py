"""The deterministic blocks that both passes are chains of; `Block` says what one is."""

from biva_tf.model.blocks.block import Block, MapShape
from biva_tf.model.blocks.make import make

__all__ = ["Block", "MapShape", "make"]
