"""Pixels on the stack as they are: every value has the same probability.

That is what a batch is stored as whose code would be longer. The bits are scrambled, so that they
look random: the latents of the next batch are popped from them, and bits of a black picture would
choose latents that no posterior has.
"""

import functools

import numpy as np

from biva_tf.compression.stack import Stack, ans_package


def push(stack: Stack, pixels: np.ndarray, values: int, key: tuple[int, int]) -> None:
    """Pushes pixels.

    Args:
      stack: the stack.
      pixels: uint8 of any shape, below `values`.
      values: the number of values that a pixel can have, a power of two up to 256.
      key: two numbers below 2**64 from which the bits are scrambled.
    """
    symbols = (pixels.ravel() ^ _scramble(pixels.size, values, key)).astype(np.int32)
    stack.push(symbols, _uniform(), np.full(pixels.size, values, np.int32))


def pop(stack: Stack, shape: tuple[int, ...], values: int, key: tuple[int, int]) -> np.ndarray:
    """Pops the pixels, uint8 of a shape, that `push` pushed with the same values and key."""
    size = int(np.prod(shape))
    symbols = stack.pop(_uniform(), np.full(size, values, np.int32)).astype(np.uint8)
    return (symbols ^ _scramble(size, values, key)).reshape(shape)


def _scramble(size: int, values: int, key: tuple[int, int]) -> np.ndarray:
    # NumPy keeps the raw stream of a generator the same in all versions.
    words = np.random.Philox(key=key).random_raw(-(-size // 8)).astype("<u8")
    return words.view(np.uint8)[:size] & np.uint8(values - 1)


@functools.cache
def _uniform():
    """The family of uniform distributions over a number of values."""
    return ans_package().stream.model.Uniform()
