"""What can be wrong with images to compress, or with a compressed file."""

import numpy as np

from biva_tf.errors import UserError


class CompressionError(UserError, ValueError):
    """Images, a model or a file that do not fit; the message says what was expected."""


class MismatchError(CompressionError):
    """What was decoded cannot have been encoded under the Gaussians that are computed here."""


class BlockError(CompressionError):
    """A block that cannot be decoded.

    Attributes:
      block: its number, from 0.
      images: those of the blocks before it, of the dtype and the values of the compressed ones.
    """

    def __init__(self, message: str, block: int, images: np.ndarray):
        super().__init__(message)
        self.block, self.images = block, images
