"""Bits-back coding of a batch of images (Townsend et al. 2019) under BIVA.

`encode` pops every latent from its posterior, in the order in which the passes draw them: z_1^bu,
..., z_{L-1}^bu, z_L, then z_{L-1}^td, ..., z_1^td. So the bits of the stack choose the latents.
It then pushes x under p(x|z), and every latent under its prior. On average the stack grows by

    E_q [log q(z|x) - log p(x|z) - log p(z)] = -ELBO.

`decode` does all of it backwards, and gives the bits back that the latents took.

The rows of a batch are one chain: the stack holds them side by side.
"""

import functools
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from biva_tf.compression.grid import Grid
from biva_tf.compression.passes import DrawLatent, Passes
from biva_tf.compression.stack import Stack, ans_package

Grids = Mapping[str, Grid]  # by the name of the latent
Latents = dict[str, np.ndarray]  # by name, each [rows, *latent shape]
MeanAndLogVariance = tuple[np.ndarray, np.ndarray]  # mean and log-variance


class BitsBack:
    """Codes batches of images on a stack.

    Args:
      passes: the model's passes.
      grids: the grid of each latent.
      values: the number of values that a pixel can have; also an attribute.
    """

    def __init__(self, passes: Passes, grids: Grids, values: int):
        self._passes, self._grids, self.values = passes, grids, values

    def encode(self, stack: Stack, pixels: np.ndarray) -> int:
        """Pushes images.

        Args:
          stack: the stack.
          pixels: uint8 [images, *image_shape], at most as many as the rows of the batch; below the
            number of values.

        Returns:
          The number of words that the latents took from the stack.
        """
        number, height = len(pixels), stack.height
        latents: Latents = {}
        priors: list[tuple[str, MeanAndLogVariance]] = []
        draw = _drawing(number, latents, lambda name, q: self._grids[name].pop_posterior(stack, *q))
        self._passes.infer(self._passes.batch(self._scaled(pixels)), draw)
        taken = height - stack.height
        parameters = self._passes.generate(_looking(number, latents, priors))
        self._push_images(stack, parameters, pixels)
        for name, p in reversed(priors):
            self._grids[name].push_prior(stack, latents[name][:number], *p)
        return taken

    def decode(self, stack: Stack, number: int) -> np.ndarray:
        """Pops a number of images that `encode` pushed, uint8 [number, *image_shape]."""
        latents: Latents = {}
        posteriors: list[tuple[str, MeanAndLogVariance]] = []
        draw = _drawing(number, latents, lambda name, p: self._grids[name].pop_prior(stack, *p))
        parameters = self._passes.generate(draw)
        pixels = self._pop_images(stack, parameters, number)
        self._passes.infer(
            self._passes.batch(self._scaled(pixels)), _looking(number, latents, posteriors)
        )
        for name, q in reversed(posteriors):
            self._grids[name].push_posterior(stack, latents[name][:number], *q)
        return pixels

    def _scaled(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.astype(np.float32) / np.float32(self.values - 1)

    def _push_images(self, stack: Stack, parameters: tf.Tensor, pixels: np.ndarray) -> None:
        images = self._scaled(pixels)
        for channel in reversed(range(pixels.shape[-1])):
            tables = self._passes.channel_probabilities(parameters, images[..., :channel])
            symbols = pixels[..., channel].ravel().astype(np.int32)
            stack.push(symbols, _of_values(), tables.reshape(-1, tables.shape[-1]))

    def _pop_images(self, stack: Stack, parameters: tf.Tensor, number: int) -> np.ndarray:
        pixels = np.zeros((number, *self._passes.image_shape), np.uint8)
        for channel in range(pixels.shape[-1]):
            before = self._scaled(pixels[..., :channel])
            tables = self._passes.channel_probabilities(parameters, before)
            symbols = stack.pop(_of_values(), tables.reshape(-1, tables.shape[-1]))
            pixels[..., channel] = symbols.reshape(pixels.shape[:-1])
        return pixels


@functools.cache
def _of_values():
    """The family of distributions over the values of a pixel, given by tables."""
    return ans_package().stream.model.Categorical(perfect=False)


def _drawing(
    number: int, latents: Latents, pop: Callable[[str, MeanAndLogVariance], np.ndarray]
) -> DrawLatent:
    """Pops the first rows of each latent from its Gaussian, and keeps them; the others are 0."""

    def draw(name, mean, log_variance):
        latents[name] = np.zeros_like(mean)
        latents[name][:number] = pop(name, (mean[:number], log_variance[:number]))
        return latents[name]

    return draw


def _looking(
    number: int, latents: Latents, seen: list[tuple[str, MeanAndLogVariance]]
) -> DrawLatent:
    """Gives known latents to a pass, and notes the Gaussians of the first rows."""

    def draw(name, mean, log_variance):
        seen.append((name, (mean[:number], log_variance[:number])))
        return latents[name]

    return draw
