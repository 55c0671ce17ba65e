import numpy as np
import pytest
import tensorflow as tf

from biva_tf.inference import objectives

RECONSTRUCTION = tf.constant([-10.0, -20.0])
KL = tf.constant([[1.0, 3.0], [-0.5, 5.0]])
TERMS = objectives.Terms(RECONSTRUCTION, KL)


def test_without_free_bits_the_loss_is_the_negative_elbo():
    np.testing.assert_allclose(objectives.training_loss(TERMS), [14.0, 24.5])
    np.testing.assert_allclose(TERMS.bound, [-14.0, -24.5])


def test_free_bits_per_example_are_a_lower_limit_of_every_kl():
    loss = objectives.training_loss(TERMS, free_bits=2.0)
    np.testing.assert_allclose(loss, [10 + 2 + 3, 20 + 2 + 5])


def test_every_kl_has_free_bits_of_its_own():
    loss = objectives.training_loss(TERMS, free_bits=[2.0, 0.0])
    np.testing.assert_allclose(loss, [10 + 2 + 3, 20 + 2 + 5])
    loss = objectives.training_loss(TERMS, free_bits=[0.0, 4.0])
    np.testing.assert_allclose(loss, [10 + 1 + 4, 20 + 0 + 5])


def test_free_bits_of_the_batch_mean_are_a_lower_limit_of_the_mean_kl():
    loss = objectives.training_loss(TERMS, free_bits=2.0, free_bits_mode="batch_mean")
    # The mean KLs are 0.25, which counts as 2, and 4, which counts as 4.
    np.testing.assert_allclose(np.mean(loss), 15 + 2 + 4)


def test_a_kl_below_the_free_bits_has_no_gradient():
    kl = tf.Variable(KL)

    def gradient(mode):
        with tf.GradientTape() as tape:
            t = objectives.Terms(RECONSTRUCTION, tf.identity(kl))
            loss = tf.reduce_sum(objectives.training_loss(t, free_bits=2.0, free_bits_mode=mode))
        return tape.gradient(loss, kl)

    np.testing.assert_array_equal(gradient("per_example"), [[0, 1], [0, 1]])
    np.testing.assert_array_equal(gradient("batch_mean"), [[0, 1], [0, 1]])
    # The second latent: its mean KL is above the free bits, but that of one example is below.
    kl.assign([[1.0, 9.0], [1.0, 1.0]])
    np.testing.assert_array_equal(gradient("per_example"), [[0, 1], [0, 0]])
    np.testing.assert_array_equal(gradient("batch_mean"), [[0, 1], [0, 1]])


def test_the_kl_weight_multiplies_the_kl():
    loss = objectives.training_loss(TERMS, kl_weight=0.5)
    np.testing.assert_allclose(loss, [12.0, 22.25])


def test_an_unknown_mode_of_free_bits_is_refused():
    with pytest.raises(ValueError, match="free_bits_mode: expected"):
        objectives.training_loss(TERMS, free_bits=2.0, free_bits_mode="mean")


def test_linear_warmup_rises_to_its_end_value_and_stays_there():
    ramp = [float(objectives.linear_warmup(tf.constant(s), 10, 0.5)) for s in (0, 5, 10, 20)]
    np.testing.assert_allclose(ramp, [0.0, 0.25, 0.5, 0.5])
    assert float(objectives.linear_warmup(tf.constant(0), 0, 0.5)) == 0.5


def _terms(log_weights):
    """Terms with the log-weights [images, samples]. Rows are the images of each sample in turn."""
    rows = tf.reshape(tf.transpose(log_weights), [-1])
    return objectives.Terms(rows - 3.0, tf.tile([[-1.0, -2.0]], [len(rows), 1]))


def test_importance_sums_give_bound_elbo_sample_size_and_kl():
    log_weights = tf.constant([[-1000.0, -1000.0 + np.log(3)], [5.0, 5.0]])
    scores = objectives.ImportanceSums.zero(2, 2).add(_terms(log_weights), 2).scores()
    np.testing.assert_allclose(scores.bound, [-1000 + np.log(2), 5.0])
    np.testing.assert_allclose(scores.elbo, [-1000 + np.log(3) / 2, 5.0])
    np.testing.assert_allclose(scores.effective_sample_size, [16 / 10, 2.0], rtol=1e-4)
    np.testing.assert_allclose(scores.kl, [[-1, -2]] * 2)


def test_the_bound_of_one_sample_is_its_elbo():
    scores = objectives.ImportanceSums.zero(1, 2).add(_terms(tf.constant([[-7.0]])), 1).scores()
    np.testing.assert_array_equal([scores.bound, scores.elbo], [[-7.0], [-7.0]])
    np.testing.assert_allclose(scores.effective_sample_size, [1.0])


def test_importance_sums_do_not_depend_on_the_grouping_of_the_samples():
    log_weights = tf.constant(np.random.default_rng(0).normal(-5000, 9, (3, 10)), tf.float32)
    whole = objectives.ImportanceSums.zero(3, 2).add(_terms(log_weights), 10)
    parts = objectives.ImportanceSums.zero(3, 2)
    for first, last in ((0, 1), (1, 4), (4, 10)):
        parts = parts.add(_terms(log_weights[:, first:last]), last - first)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    exact = np.float64(log_weights)
    top = exact.max(1)
    expected = np.log(np.mean(np.exp(exact - top[:, None]), axis=1)) + top
    np.testing.assert_allclose(whole.scores().bound, expected, rtol=1e-12)


def test_bits_per_dim_are_negative_nats_over_log_2_and_the_dimensions():
    nats = -32 * 32 * 3 * np.log(2) * 3.08
    assert objectives.bits_per_dim(nats, (32, 32, 3)) == pytest.approx(3.08)
