"""The model's two passes as a coder needs them: of one batch shape, with draws by the host.

A bit that differs between compressing and decompressing garbles all that follows. So both run the
very same graphs, of one number of rows and not rewritten by Grappler, and differ by what the host
answers when a pass draws a latent.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from biva_tf.compression.errors import CompressionError
from biva_tf.model import plans
from biva_tf.model.kinds import LikelihoodKind, known
from biva_tf.model.network import Network
from biva_tf.model.noise import HostDraws, NotCodedError
from biva_tf.model.spec import ModelSpec
from biva_tf.nn import graphs

# A latent's name, the mean and the log-variance of its Gaussian, [rows, *latent shape]; gives its
# value.
DrawLatent = Callable[[str, np.ndarray, np.ndarray], np.ndarray]

_TABLE_ROWS = 4  # whose tables of probabilities are in memory at once
_LEAST = 2.0**-30  # far below what the coder gives any value, 2**-24


def check_model(spec: ModelSpec) -> None:
    """Raises CompressionError if images cannot be coded under such a model."""
    if not spec.likelihood.codes_pixels:
        likelihoods = known(LikelihoodKind).values()
        kinds = " or ".join(cls.kind for cls in likelihoods if cls.codes_pixels)
        raise CompressionError(
            f"the model: expected a likelihood of pixels, {kinds}, got {spec.likelihood.kind}"
        )
    if spec.classes is not None:
        raise CompressionError("the model: expected one without classes")


class Passes:
    """The passes of a model, with the weights that it had when they were last read.

    Args:
      model: the model.
      rows: the rows in a batch.

    Raises:
      CompressionError: the model is not one of images, or has classes.
    """

    def __init__(self, model: Network, rows: int):
        check_model(model.spec)
        self._model, self._rows = model, rows
        self._draw: DrawLatent = None  # while no pass runs
        self._noise = HostDraws(self._on_host)
        self.read_weights()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self._model.spec.image_shape

    def read_weights(self) -> None:
        """Reads the weights that the model has now."""
        with graphs.rewriting(False):
            self._weights = self._model.fixed_weights.read(self._rows)

    def batch(self, images: np.ndarray) -> np.ndarray:
        """A whole batch: images, at most as many as its rows, and zeros."""
        filled = np.zeros((self._rows, *self.image_shape), np.float32)
        filled[: len(images)] = images
        return filled

    def infer(self, images: np.ndarray, draw: DrawLatent) -> None:
        """Both passes: `draw` is given the posterior of every latent, and gives its value.

        Args:
          images: float32 [rows, *spec.image_shape], in [0, 1].
          draw: called once for each latent, in the order of the passes.
        """
        self._run(draw, lambda: self._infer(tf.constant(images), self._weights))

    def generate(self, draw: DrawLatent) -> tf.Tensor:
        """The top-down pass alone: `draw` is given the prior of every latent, and gives its value.

        Returns:
          The parameters of p(x|z), [rows, height, width, parameters].
        """
        return self._run(draw, lambda: self._generate(self._weights))

    def channel_probabilities(self, parameters: tf.Tensor, before: np.ndarray) -> np.ndarray:
        """The probabilities of all values of a channel of the first rows.

        Args:
          parameters: of p(x|z), for all rows.
          before: the channels before it, float32 [first rows, height, width, channel], in [0, 1].

        Returns:
          float32 [first rows, height, width, values], none of them 0.
        """
        filled = np.zeros((self._rows + _TABLE_ROWS, *before.shape[1:]), np.float32)
        filled[: len(before)] = before
        tables = []
        with graphs.rewriting(False):
            for first in range(0, len(before), _TABLE_ROWS):
                few = tf.constant(filled[first : first + _TABLE_ROWS])
                rows = tf.minimum(tf.range(first, first + _TABLE_ROWS), self._rows - 1)
                tables.append(self._tables(tf.gather(parameters, rows), few).numpy())
        # Values that are not probabilities only cost bits.
        return np.clip(np.nan_to_num(np.concatenate(tables)[: len(before)]), _LEAST, 1.0)

    def _run(self, draw: DrawLatent, graph: Callable[[], tf.Tensor | None]) -> tf.Tensor | None:
        self._draw = draw
        try:
            with graphs.rewriting(False):
                return graph()
        except NotCodedError:
            latent, kind = self._noise.refused.split("/")
            raise CompressionError(
                f"the model: the latent {latent} has a {kind} that cannot be coded; expected a "
                "Gaussian with diagonal covariance (DiagonalGaussian)"
            ) from None
        finally:
            self._draw = None

    def _on_host(self, stream: str, mean: np.ndarray, log_variance: np.ndarray) -> np.ndarray:
        return self._draw(stream.split("/")[0], mean, log_variance)

    @tf.function(autograph=False)
    def _infer(self, images, weights):
        model, noise = self._model, self._noise
        with model.fixed_weights.used(weights):
            features = model.bottom_up(model.image_features(images, noise), noise)
            model.top_down(features, plans.posterior(model.spec), noise)  # for its draws alone

    @tf.function(autograph=False)
    def _generate(self, weights):
        model, plan = self._model, plans.prior(self._model.spec)
        with model.fixed_weights.used(weights):
            return model.top_down(None, plan, self._noise, rows=self._rows).px_parameters

    @tf.function(autograph=False)
    def _tables(self, parameters, before):
        likelihood: Any = self._model.likelihood  # of pixels, as `check_model` has seen
        return likelihood.channel_probabilities(likelihood.distribution(parameters), before)
