"""The deterministic blocks that both passes are chains of; `MapBlock` says what one is."""

from biva_tf.model.blocks.block import MapBlock, MapShape
from biva_tf.model.blocks.make import make

__all__ = ["MapBlock", "MapShape", "make"]
