import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from biva_tf.model.distributions import (
    DiagonalGaussian,
    DiscretizedLogisticMixture,
    bernoulli_image,
)

tfd = tfp.distributions
LEVELS = np.arange(256, dtype=np.float32) / 255


def test_gaussian_log_prob_equals_that_of_tfp():
    rng = np.random.default_rng(0)
    mean, log_variance, x = rng.normal(size=(3, 4, 2, 3)).astype(np.float32)
    flat = [a.reshape(4, 6) for a in (mean, log_variance, x)]
    expected = tfd.MultivariateNormalDiag(flat[0], np.exp(0.5 * flat[1])).log_prob(flat[2])
    gaussian = DiagonalGaussian(mean, log_variance)
    np.testing.assert_allclose(gaussian.log_prob(x), expected, rtol=1e-5)
    assert gaussian.batch_shape == (4,) and gaussian.event_shape == (2, 3)
    np.testing.assert_array_equal(gaussian.mean(), mean)
    np.testing.assert_allclose(gaussian.variance(), np.exp(log_variance), rtol=1e-6)


def test_gaussian_draws_have_its_mean_and_deviation():
    gaussian = DiagonalGaussian(tf.fill((1, 2), 3.0), tf.fill((1, 2), np.log(4.0)))
    draws = gaussian.sample(20_000, seed=(0, 1)).numpy()
    np.testing.assert_allclose(draws.mean(axis=0), 3.0, atol=0.05)
    np.testing.assert_allclose(draws.std(axis=0), 2.0, atol=0.05)
    np.testing.assert_allclose(gaussian.from_noise(tf.ones((1, 2)), 0.5), 3.0 + 0.5 * 2.0)


def test_bernoulli_log_prob_is_the_sum_over_pixels():
    logits = tf.constant([[[[0.0], [2.0]]]])
    image = bernoulli_image(logits)
    expected = np.log(0.5) + np.log(1 / (1 + np.exp(2.0)))
    np.testing.assert_allclose(image.log_prob([[[[1.0], [0.0]]]]), [expected], rtol=1e-5)


def _parameters(rng, channels, components, log_scales, rows=1):
    """Parameters of single pixels [rows, 1, 1, size], with log-scales drawn from a range."""
    per = DiscretizedLogisticMixture.parameters_per_component(channels)
    l = rng.normal(size=(rows, 1, 1, components * per)).astype(np.float32)
    kinds = (per - 1) // channels
    rest = l[..., components:].reshape(rows, 1, 1, channels, kinds, components)
    rest[..., 1, :] = rng.uniform(*log_scales, size=rest[..., 1, :].shape)
    l[..., components:] = rest.reshape(rows, 1, 1, -1)
    return l


def _pixels(values, channels):
    return np.asarray(values, np.float32).reshape(-1, 1, 1, channels)


@pytest.mark.parametrize("log_scales", [(-7, -7), (-7, -5), (-4, 0), (0, 5), (5, 5), (-9, -8)])
def test_grey_probabilities_sum_to_one(log_scales):
    l = np.repeat(_parameters(np.random.default_rng(1), 1, 5, log_scales), 256, axis=0)
    log_probs = DiscretizedLogisticMixture(l, 1).log_prob(_pixels(LEVELS, 1))
    np.testing.assert_allclose(np.sum(np.exp(np.float64(log_probs))), 1.0, atol=2e-5)


@pytest.mark.parametrize("log_scales", [(-7, -5), (-3, 0), (1, 5)])
def test_colour_probabilities_sum_to_one_and_to_the_marginal(log_scales):
    """The sum of the probabilities of all colours is 1.

    The sum over the 256 values of the last channel is the marginal of the first two channels. It
    does not depend on the parameters of the last channel.
    """
    rng = np.random.default_rng(2)
    l = _parameters(rng, 3, 4, log_scales)
    rest = l[..., 4:].reshape(1, 1, 1, 3, 3, 4)

    def mass(parameters, fixed):
        rows = [(*fixed, v) for v in LEVELS]
        px = DiscretizedLogisticMixture(np.repeat(parameters, 256, axis=0), 3)
        return np.sum(np.exp(np.float64(px.log_prob(_pixels(rows, 3)))))

    changed = rest.copy()
    changed[..., 2, 0, :] += 0.3  # the means of the last channel
    changed = np.concatenate([l[..., :4], changed.reshape(1, 1, 1, -1)], axis=-1)
    fixed = (LEVELS[100], LEVELS[140])
    marginal = mass(l, fixed)
    np.testing.assert_allclose(marginal, mass(changed, fixed), rtol=1e-4)
    # The last two channels are sharp: only a few of their values have any mass, so that the sum
    # over 256^3 colours reduces to the sum over those few.
    sharp = rest.copy()
    sharp[..., 1:, 0, :], sharp[..., 1:, 1, :], sharp[..., 2, :] = 0.2, -7.0, 0.0
    sharp = np.concatenate([l[..., :4], sharp.reshape(1, 1, 1, -1)], axis=-1)
    near = LEVELS[150:157]
    values = [(a, b, c) for a in LEVELS for b in near for c in near]
    px = DiscretizedLogisticMixture(np.repeat(sharp, len(values), axis=0), 3)
    total = np.sum(np.exp(np.float64(px.log_prob(_pixels(values, 3)))))
    np.testing.assert_allclose(total, 1.0, atol=1e-3)


@pytest.mark.parametrize("log_scale", [-7.0, -5.0, 0.0, 5.0])
@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
def test_log_prob_and_its_gradients_are_finite(log_scale, value):
    l = _parameters(np.random.default_rng(3), 3, 10, (log_scale, log_scale), rows=8)
    parameters = tf.Variable(l)
    with tf.GradientTape() as tape:
        px = DiscretizedLogisticMixture(parameters, 3)
        log_prob = px.log_prob(tf.fill((8, 1, 1, 3), value / 255.0))
    assert np.all(np.isfinite(log_prob))
    assert np.all(np.isfinite(tape.gradient(log_prob, parameters)))


def test_grey_log_prob_agrees_with_float64():
    """With one component, p is the difference of two logistic functions, here in float64."""
    rng = np.random.default_rng(4)
    loc, log_scale = rng.uniform(-1, 1, 256), rng.uniform(-7, 5, 256)
    l = np.stack([np.zeros(256), loc, log_scale], axis=-1).astype(np.float32)
    actual = DiscretizedLogisticMixture(l[:, None, None], 1).log_prob(_pixels(LEVELS, 1))
    _, loc, log_scale = np.float64(l).T
    x = 2 * np.arange(256) / 255 - 1
    upper, lower = ((x - loc + s / 255) * np.exp(-log_scale) for s in (1, -1))
    # log(sigmoid(a) - sigmoid(b)) on the side where neither is near 1.
    flip = upper + lower > 0
    a, b = np.where(flip, -lower, upper), np.where(flip, -upper, lower)
    log_a, log_b = a - np.logaddexp(0, a), b - np.logaddexp(0, b)
    expected = log_a + np.log1p(-np.exp(log_b - log_a))
    inner = slice(1, 255)
    np.testing.assert_allclose(np.array(actual)[inner], expected[inner], rtol=1e-4, atol=2e-3)


def _bins(loc, log_scale):
    """P(value) of a logistic in float64, as the difference of its distribution function: 256 bins.

    `loc` and `log_scale` [...]; the result is [..., 256].
    """
    loc, inverse_scale = np.asarray(loc)[..., None], np.exp(-np.asarray(log_scale))[..., None]
    x = 2 * np.arange(256) / 255 - 1

    def cdf(edge):
        return 1 / (1 + np.exp(-(edge - loc) * inverse_scale))

    upper, lower = cdf(x + 1 / 255), cdf(x - 1 / 255)
    upper[..., 255], lower[..., 0] = 1.0, 0.0
    return upper - lower


def _colour_marginals(parameters, components):
    """The exact distribution of each channel of a colour pixel, [3, 256], by the formulas.

    Of each component in turn: P(c1), then P(c2|c1), then P(c3|c1, c2), summed over the values of
    the channels before. A value of the first two with a mass below 1e-9 is left out.
    """
    l = np.float64(parameters).ravel()
    weights = np.exp(l[:components]) / np.exp(l[:components]).sum()
    locs, log_scales, raw = l[components:].reshape(3, 3, components).transpose(1, 0, 2)
    coefficients = np.tanh(raw)
    values = 2 * np.arange(256) / 255 - 1
    marginals = np.zeros((3, 256))
    for k, weight in enumerate(weights):
        p1 = _bins(locs[0, k], log_scales[0, k])
        marginals[0] += weight * p1
        for c1 in np.flatnonzero(p1 > 1e-9):
            p2 = p1[c1] * _bins(locs[1, k] + coefficients[0, k] * values[c1], log_scales[1, k])
            marginals[1] += weight * p2
            c2 = np.flatnonzero(p2 > 1e-9)
            loc = locs[2, k] + coefficients[1, k] * values[c1] + coefficients[2, k] * values[c2]
            marginals[2] += weight * p2[c2] @ _bins(loc, np.full(len(c2), log_scales[2, k]))
    return marginals


def test_draws_follow_log_prob():
    """The frequencies of each channel's values are those of its exact marginal distribution.

    log_prob gives the same distribution: its probabilities of a grey pixel are the bins.
    """
    rng = np.random.default_rng(5)
    parameters = _parameters(rng, 3, 3, (-4.5, -3.5))
    number = 60_000
    draws = DiscretizedLogisticMixture(parameters, 3).sample(number, seed=(1, 2)).numpy()
    draws = draws.reshape(number, 3) * 255
    np.testing.assert_allclose(draws, np.round(draws), atol=1e-2)
    marginals = _colour_marginals(parameters, 3)
    np.testing.assert_allclose(marginals.sum(axis=1), 1.0, atol=1e-4)
    for channel in range(3):
        counts = np.bincount(np.round(draws[:, channel]).astype(int), minlength=256)
        expected = number * marginals[channel]
        likely = expected > 20
        chi2 = np.sum((counts - expected)[likely] ** 2 / expected[likely])
        degrees = likely.sum()
        assert chi2 < degrees + 5 * np.sqrt(2 * degrees), f"channel {channel}"
    grey = _parameters(rng, 1, 1, (-4.0, -4.0))
    px = DiscretizedLogisticMixture(np.repeat(grey, 256, axis=0), 1)
    bins = _bins(np.float64(grey.ravel()[1]), np.float64(grey.ravel()[2]))
    np.testing.assert_allclose(np.exp(px.log_prob(_pixels(LEVELS, 1))), bins, rtol=1e-4, atol=1e-9)


def test_log_prob_of_a_colour_pixel_is_the_product_of_its_conditionals():
    """One component: log P(c1) + log P(c2|c1) + log P(c3|c1, c2), by the formulas in float64."""
    parameters = _parameters(np.random.default_rng(8), 3, 1, (-4.0, -3.0))
    parameters[..., [1, 4, 7]] *= 0.2  # the means, so that few values are in the outer bins
    px = DiscretizedLogisticMixture(np.repeat(parameters, 50, axis=0), 3)
    values = np.rint(px.sample(seed=(3, 4)).numpy().reshape(50, 3) * 255).astype(int)
    values[::2] = np.clip(values[::2] + 2, 0, 255)  # less likely ones, too
    locs, log_scales, raw = np.float64(parameters).ravel()[1:].reshape(3, 3).T
    a, b, c = np.tanh(raw)
    x = 2 * values / 255 - 1
    means = (
        np.full(50, locs[0]),
        locs[1] + a * x[:, 0],
        locs[2] + b * x[:, 0] + c * x[:, 1],
    )
    expected = np.zeros(50)
    for channel, mean in enumerate(means):
        bins = _bins(mean, np.full(50, log_scales[channel]))
        expected += np.log(bins[np.arange(50), values[:, channel]])
    np.testing.assert_allclose(px.log_prob(_pixels(values / 255, 3)), expected, rtol=1e-4)


@pytest.mark.parametrize("log_scales", [(-7, -7), (-5, -2), (0, 5)])
def test_channel_probabilities_are_those_of_log_prob(log_scales):
    """Grey: the probability of each value. Colour: the product over channels, in their order."""
    rng = np.random.default_rng(11)
    grey = _parameters(rng, 1, 5, log_scales)
    found = DiscretizedLogisticMixture(grey, 1).channel_probabilities(tf.zeros((1, 1, 1, 0)))
    rows = DiscretizedLogisticMixture(np.repeat(grey, 256, axis=0), 1)
    expected = np.exp(rows.log_prob(_pixels(LEVELS, 1)))
    np.testing.assert_allclose(found.numpy().ravel(), expected, rtol=1e-3, atol=5e-7)
    px = DiscretizedLogisticMixture(_parameters(rng, 3, 4, log_scales, rows=50), 3)
    x = px.sample(seed=(1, 2))
    product = 1.0
    for channel in range(3):
        tables = px.channel_probabilities(x[..., :channel]).numpy().reshape(50, 256)
        np.testing.assert_allclose(tables.sum(axis=1), 1.0, atol=1e-5)
        values = np.rint(x[..., channel].numpy().ravel() * 255).astype(int)
        product = product * tables[np.arange(50), values]
    np.testing.assert_allclose(product, np.exp(px.log_prob(x)), rtol=1e-3, atol=1e-6)


def test_conditional_draws_follow_log_prob():
    """Draws of the third channel, given the most frequent values of the first two."""
    rng = np.random.default_rng(6)
    l = _parameters(rng, 3, 1, (-6.5, -6.0))
    n = 40_000
    draws = DiscretizedLogisticMixture(l, 3).sample(n, seed=(5, 6)).numpy().reshape(n, 3)
    pairs, counts = np.unique(draws[:, :2], axis=0, return_counts=True)
    pair = pairs[np.argmax(counts)]
    third = draws[np.all(draws[:, :2] == pair, axis=1), 2]
    values = np.array([(*pair, v) for v in LEVELS])
    px = DiscretizedLogisticMixture(np.repeat(l, 256, axis=0), 3)
    joint = np.exp(np.float64(px.log_prob(_pixels(values, 3))))
    expected = joint / joint.sum() * len(third)
    observed = np.bincount(np.round(third * 255).astype(int), minlength=256)
    likely = expected > 10
    assert likely.any()
    chi2 = np.sum((observed - expected)[likely] ** 2 / expected[likely])
    assert chi2 < likely.sum() + 5 * np.sqrt(2 * likely.sum())


@pytest.mark.parametrize("channels", [1, 3])
def test_the_mean_is_the_mean_of_the_draws(channels):
    l = _parameters(np.random.default_rng(7), channels, 4, (-3.5, -2.5))
    px = DiscretizedLogisticMixture(l, channels)
    draws = px.sample(40_000, seed=(7, 8)).numpy()
    assert px.mean().shape == (1, 1, 1, channels)
    np.testing.assert_allclose(px.mean(), draws.mean(axis=0), atol=0.01)


def test_parameters_of_a_wrong_size_are_refused():
    with pytest.raises(ValueError, match="expected a multiple of 10 channels, got 11"):
        DiscretizedLogisticMixture(tf.zeros((1, 2, 2, 11)), 3)
    with pytest.raises(ValueError, match="expected 1 or 3, got 2"):
        DiscretizedLogisticMixture(tf.zeros((1, 2, 2, 10)), 2)
