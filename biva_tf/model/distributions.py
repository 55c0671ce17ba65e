"""The distributions of the model, as TFP distributions in float32."""

import math

import tensorflow as tf
import tensorflow_probability as tfp

from biva_tf.model.noise import Noise

tfd = tfp.distributions

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class DiagonalGaussian(tfd.Distribution):
    """A Gaussian with diagonal covariance, parameterised by its log-variance.

    Args:
      mean: [rows, *event].
      log_variance: a tensor of the same shape.

    `log_prob` gives [rows], in nats, summed over the event.
    """

    def __init__(self, mean: tf.Tensor, log_variance: tf.Tensor, name: str = "DiagonalGaussian"):
        parameters = dict(locals())
        self._loc = tf.cast(mean, tf.float32)
        self._log_variance = tf.cast(log_variance, tf.float32)
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @property
    def log_variance(self) -> tf.Tensor:
        """[rows, *event]."""
        return self._log_variance

    def gather(self, rows: tf.Tensor) -> "DiagonalGaussian":
        """The Gaussian of some rows, in their order."""
        return DiagonalGaussian(tf.gather(self._loc, rows), tf.gather(self._log_variance, rows))

    def from_noise(self, noise: tf.Tensor, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
        """mean + temperature * standard deviation * noise."""
        return self._loc + tf.exp(0.5 * self._log_variance) * (temperature * noise)

    def draw(self, noise: Noise, stream: str, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
        """A draw by `from_noise`, with the noise of a stream."""
        shape = (tf.shape(self._loc)[0], *self._loc.shape[1:])
        return self.from_noise(noise.normal(stream, shape), temperature)

    def mean_and_log_variance(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The parameters, by which a value can be coded, each [rows, *event]."""
        return self.mean(), self._log_variance

    def _batch_shape(self):
        return self._loc.shape[:1]

    def _batch_shape_tensor(self):
        return tf.shape(self._loc)[:1]

    def _event_shape(self):
        return self._loc.shape[1:]

    def _event_shape_tensor(self):
        return tf.shape(self._loc)[1:]

    def _mean(self):
        return tf.identity(self._loc)

    def _mode(self):
        return tf.identity(self._loc)

    def _variance(self):
        return tf.exp(self._log_variance)

    def _sample_n(self, n, seed=None):
        seed = tfp.random.sanitize_seed(seed)
        shape = tf.concat([[n], tf.shape(self._loc)], axis=0)
        return self.from_noise(tf.random.stateless_normal(shape, seed))

    def _log_prob(self, x):
        squares = tf.math.squared_difference(x, self._loc) * tf.exp(-self._log_variance)
        terms = -0.5 * (self._log_variance + squares) - _HALF_LOG_2PI
        return tf.reduce_sum(terms, axis=tuple(range(-self._loc.shape.rank + 1, 0)))


@tfd.RegisterKL(DiagonalGaussian, DiagonalGaussian)
def _kl_of_gaussians(
    q: DiagonalGaussian, p: DiagonalGaussian, name: str | None = None
) -> tf.Tensor:
    """KL(q||p), [rows], nats, summed over the event."""
    del name
    # No tensor here has three readers: the order of their gradients' sum would depend on the timing
    # of threads (WORKSPACE.md, "Graphs"). A posterior relative to the prior is one reader of it.
    p_log_variance, p_mean = tf.identity(p.log_variance), tf.identity(p.mean())
    difference = q.log_variance - p_log_variance
    squares = tf.math.squared_difference(q.mean(), p_mean) * tf.exp(-p_log_variance)
    terms = 0.5 * (tf.math.expm1(difference) - difference + squares)
    return tf.reduce_sum(terms, axis=tuple(range(1, terms.shape.rank)))


def bernoulli_image(logits: tf.Tensor) -> tfd.Distribution:
    """Independent Bernoulli pixels: logits [rows, height, width, channels]; log_prob [rows]."""
    pixels = tfd.Bernoulli(logits=tf.cast(logits, tf.float32), dtype=tf.float32)
    return tfd.Independent(pixels, reinterpreted_batch_ndims=3, name="BernoulliImage")


def gaussian_point(
    mean: tf.Tensor, raw_log_variance: tf.Tensor, floor: float = -10.0
) -> DiagonalGaussian:
    """Independent Gaussians with log-variance floor + softplus(r - floor).

    It is r wherever r is well above the floor, and never falls below it, however narrow the data
    are; unlike a clipped value it always has a gradient.

    Args:
      mean: [rows, height, width, channels].
      raw_log_variance: r, of the same shape.
      floor: the least log-variance; by default that of a standard deviation of 0.007.
    """
    return DiagonalGaussian(mean, floor + tf.math.softplus(raw_log_variance - floor))


class DiscretizedLogisticMixture(tfd.Distribution):
    """A mixture of discretized logistics over 8-bit images, channels coupled within a pixel.

    The likelihood of PixelCNN++ (Salimans et al. 2017), as the original uses it. Values are in
    [0, 1], multiples of 1/255; each owns the bin of width 1/255 around it, and the outer bins reach
    to infinity. The means of the second and third channel are linear in the channels before.

    The probability of a bin with upper and lower edge a, b (in scale units) is computed by the
    identity sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(-(a - b))), which is exact
    where the difference of two sigmoids cancels.

    Args:
      parameters_map: [rows, height, width, M * (1 + 2C + C(C-1)/2)] for M components and C channels
        (10 M for colour, 3 M for grey). In order: M mixture logits, then for each channel M means,
        M log-scales (bounded by -7 and 60) and, for colour, M coefficients before their tanh: of
        channel 2 on 1, of 3 on 1, of 3 on 2. In the range [-1, 1] of rescaled images.
      num_channels: C, 1 or 3.

    `log_prob` takes images [rows, height, width, C] and gives [rows], in nats.
    """

    min_log_scale = -7.0
    max_log_scale = 60.0  # far above any that an image needs; exp of it and its inverse are finite
    half_bin = 1.0 / 255.0  # on the range [-1, 1]

    def __init__(
        self,
        parameters_map: tf.Tensor,
        num_channels: int,
        name: str = "DiscretizedLogisticMixture",
    ):
        parameters = dict(locals())
        if num_channels not in (1, 3):
            raise ValueError(f"num_channels: expected 1 or 3, got {num_channels}")
        per_component = self.parameters_per_component(num_channels)
        size = parameters_map.shape[-1]
        if size % per_component:
            raise ValueError(
                f"parameters_map: expected a multiple of {per_component} channels, got {size}"
            )
        num_mixtures = size // per_component
        l = tf.cast(parameters_map, tf.float32)
        self._num_channels = num_channels
        self._logits = l[..., :num_mixtures]  # [rows, height, width, M]
        kinds = (per_component - 1) // num_channels
        shape = tf.concat([tf.shape(l)[:-1], [num_channels, kinds, num_mixtures]], axis=0)
        rest = tf.reshape(l[..., num_mixtures:], shape)
        rest = tf.ensure_shape(rest, (*l.shape[:-1], num_channels, kinds, num_mixtures))
        self._locs = rest[..., 0, :]  # [rows, height, width, C, M]
        log_scales = tf.maximum(rest[..., 1, :], self.min_log_scale)
        self._log_scales = tf.minimum(log_scales, self.max_log_scale)
        self._coefficients = tf.tanh(rest[..., 2, :]) if num_channels == 3 else None
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @staticmethod
    def parameters_per_component(num_channels: int) -> int:
        """1 + 2C + C(C-1)/2: a logit, means and log-scales, coefficients."""
        return 1 + 2 * num_channels + num_channels * (num_channels - 1) // 2

    def _batch_shape(self):
        return self._logits.shape[:1]

    def _batch_shape_tensor(self):
        return tf.shape(self._logits)[:1]

    def _event_shape(self):
        return tf.TensorShape((*self._logits.shape[1:3], self._num_channels))

    def _event_shape_tensor(self):
        return tf.concat([tf.shape(self._logits)[1:3], [self._num_channels]], axis=0)

    def _channel_loc(self, locs, channel, before):
        """A channel's mean given the channels `before` it, a list in the range [-1, 1].

        `locs` [..., C, M] and each of `before` [..., M] or [..., 1].
        """
        loc = locs[..., channel, :]
        first = (0, 0, 1)[channel]  # where this channel's coefficients start
        for i, value in enumerate(before):
            loc += self._coefficients[..., first + i, :] * value
        return loc

    def _log_prob(self, images):
        x = 2.0 * tf.cast(images, tf.float32) - 1.0
        channels = [x[..., c, tf.newaxis] for c in range(self._num_channels)]
        locs = tf.stack(
            [self._channel_loc(self._locs, c, channels[:c]) for c in range(self._num_channels)],
            axis=-2,
        )
        log_bins = self._log_bins(x[..., tf.newaxis], locs, self._log_scales)
        log_components = tf.nn.log_softmax(self._logits) + tf.reduce_sum(log_bins, axis=-2)
        return tf.reduce_sum(tf.reduce_logsumexp(log_components, axis=-1), axis=[-2, -1])

    def _log_bins(self, x, locs, log_scales):
        """log of the mass that a logistic gives the bin of x, all in the range [-1, 1]."""
        inverse_scale = tf.exp(-log_scales)
        upper = (x - locs + self.half_bin) * inverse_scale
        lower = (x - locs - self.half_bin) * inverse_scale
        log_cdf_upper = tf.math.log_sigmoid(upper)
        log_sf_lower = tf.math.log_sigmoid(-lower)
        log_gap = tf.math.log(-tf.math.expm1(-2.0 * self.half_bin * inverse_scale))
        middle = log_cdf_upper + log_sf_lower + log_gap
        # Every branch is finite everywhere, so the gradient of `where` is too.
        return tf.where(
            x < -1.0 + self.half_bin,
            log_cdf_upper,
            tf.where(x > 1.0 - self.half_bin, log_sf_lower, middle),
        )

    def channel_probabilities(self, before: tf.Tensor) -> tf.Tensor:
        """The probabilities of the 256 values of a channel, [rows, height, width, 256].

        They are differences of the distribution function, a sixth of the work of the identity
        above, with the rounding of float32: enough for a coder, which rounds them to 2**-24.

        Args:
          before: the channels before it, which they depend on: [rows, height, width, channel], in
            [0, 1].
        """
        channel = before.shape[-1]
        x = 2.0 * tf.cast(before, tf.float32) - 1.0
        known = [x[..., c, tf.newaxis] for c in range(channel)]
        log_weights = self._logits
        for c, value in enumerate(known):
            loc = self._channel_loc(self._locs, c, known[:c])
            log_weights += self._log_bins(value, loc, self._log_scales[..., c, :])
        weights = tf.nn.softmax(log_weights)
        loc = self._channel_loc(self._locs, channel, known)
        scale = tf.exp(self._log_scales[..., channel, :])
        edges = self.half_bin * (2.0 * tf.range(255, dtype=tf.float32) + 1.0) - 1.0
        below = tf.sigmoid((edges - loc[..., tf.newaxis]) / scale[..., tf.newaxis])
        below = tf.reduce_sum(weights[..., tf.newaxis] * below, axis=-2)
        ends = [[0, 0]] * 3
        upper = tf.pad(below, [*ends, [0, 1]], constant_values=1.0)
        return tf.maximum(upper - tf.pad(below, [*ends, [1, 0]]), 0.0)

    def from_uniforms(self, uniforms: tf.Tensor) -> tf.Tensor:
        """A draw from uniform numbers in [0, 1), [..., rows, height, width, M + C].

        The first M choose the component (by the Gumbel trick), the others give one logistic each.
        Each channel is rounded to its bin before the next channel's mean reads it, so the draws
        follow `log_prob` exactly.
        """
        num_mixtures = self._logits.shape[-1]
        uniforms = tf.clip_by_value(uniforms, 1e-7, 1.0 - 1e-7)
        gumbels = -tf.math.log(-tf.math.log(uniforms[..., :num_mixtures]))
        chosen = tf.one_hot(tf.argmax(self._logits + gumbels, axis=-1), num_mixtures)
        channels: list[tf.Tensor] = []
        for c in range(self._num_channels):
            u = uniforms[..., num_mixtures + c]
            loc = self._channel_loc(self._locs, c, [v[..., tf.newaxis] for v in channels])
            loc = tf.reduce_sum(loc * chosen, axis=-1)
            scale = tf.exp(tf.reduce_sum(self._log_scales[..., c, :] * chosen, axis=-1))
            value = loc + scale * (tf.math.log(u) - tf.math.log1p(-u))
            bins = tf.round((tf.clip_by_value(value, -1.0, 1.0) + 1.0) / (2.0 * self.half_bin))
            channels.append(2.0 * self.half_bin * bins - 1.0)
        return 0.5 * (tf.stack(channels, axis=-1) + 1.0)

    def _sample_n(self, n, seed=None):
        seed = tfp.random.sanitize_seed(seed)
        size = [self._logits.shape[-1] + self._num_channels]
        shape = tf.concat([[n], tf.shape(self._logits)[:-1], size], axis=0)
        return self.from_uniforms(tf.random.stateless_uniform(shape, seed))

    def _mean(self):
        """The mean image, by the mean of a logistic clipped to [-1, 1] in closed form.

        For the first channel its error is below half a bin (the rounding). The means of the others
        take the channels before at their mean, given the component.
        """
        weights = tf.nn.softmax(self._logits)
        before: list[tf.Tensor] = []
        means = []
        for c in range(self._num_channels):
            loc = self._channel_loc(self._locs, c, before)
            scale = tf.exp(self._log_scales[..., c, :])
            # E[clip(X)] = 1 - the integral of the distribution function over [-1, 1].
            above = tf.math.softplus((1.0 - loc) / scale) - tf.math.softplus((-1.0 - loc) / scale)
            before.append(1.0 - scale * above)
            means.append(tf.reduce_sum(weights * before[-1], axis=-1))
        return 0.5 * (tf.stack(means, axis=-1) + 1.0)
