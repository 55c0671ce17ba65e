"""Errors in images to compress, and in compressed files."""

import numpy as np

from biva_tf.errors import UserError


class CompressionError(UserError, ValueError):
    """Images, a model or a file that do not fit; the message says what was expected."""


class MismatchError(CompressionError):
    """The decoded values cannot come from the Gaussians that this machine computes."""


class BlockError(CompressionError):
    """A block that cannot be decoded.

    Attributes:
      block: its number, from 0.
      images: those of the blocks before it, of the dtype and the values of the compressed ones.
    """

    def __init__(self, message: str, block: int, images: np.ndarray):
        super().__init__(message)
        self.block, self.images = block, images
