import numpy as np
import pytest
import tensorflow as tf

from biva_tf import objectives

RECONSTRUCTION = tf.constant([-10.0, -20.0])
KL = tf.constant([[1.0, 3.0], [-0.5, 5.0]])
TERMS = objectives.Terms(RECONSTRUCTION, KL)


def test_without_free_bits_the_loss_is_the_negative_elbo():
    np.testing.assert_allclose(objectives.training_loss(TERMS), [14.0, 24.5])
    np.testing.assert_allclose(TERMS.bound, [-14.0, -24.5])


def test_free_bits_per_example():
    loss = objectives.training_loss(TERMS, free_bits=2.0)
    np.testing.assert_allclose(loss, [10 + 2 + 3, 20 + 2 + 5])


def test_free_bits_of_the_batch_mean():
    loss = objectives.training_loss(TERMS, free_bits=2.0, free_bits_mode="batch_mean")
    # Mean KL: 0.25, held at 2; and 4, as it is.
    np.testing.assert_allclose(np.mean(loss), 15 + 2 + 4)


def test_gradients_of_free_bits():
    kl = tf.Variable(KL)

    def gradient(mode):
        with tf.GradientTape() as tape:
            t = objectives.Terms(RECONSTRUCTION, tf.identity(kl))
            loss = tf.reduce_sum(objectives.training_loss(t, free_bits=2.0, free_bits_mode=mode))
        return tape.gradient(loss, kl)

    np.testing.assert_array_equal(gradient("per_example"), [[0, 1], [0, 1]])
    np.testing.assert_array_equal(gradient("batch_mean"), [[0, 1], [0, 1]])
    kl.assign([[1.0, 9.0], [1.0, 1.0]])  # the second latent's mean is above, one example below
    np.testing.assert_array_equal(gradient("per_example"), [[0, 1], [0, 0]])
    np.testing.assert_array_equal(gradient("batch_mean"), [[0, 1], [0, 1]])


def test_kl_weight():
    loss = objectives.training_loss(TERMS, kl_weight=0.5)
    np.testing.assert_allclose(loss, [12.0, 22.25])


def test_an_unknown_mode():
    with pytest.raises(ValueError, match="free_bits_mode: expected"):
        objectives.training_loss(TERMS, free_bits=2.0, free_bits_mode="mean")


def test_linear_warmup():
    ramp = [float(objectives.linear_warmup(tf.constant(s), 10, 0.5)) for s in (0, 5, 10, 20)]
    np.testing.assert_allclose(ramp, [0.0, 0.25, 0.5, 0.5])
    assert float(objectives.linear_warmup(tf.constant(0), 0, 0.5)) == 0.5


def test_importance_weighted_bound():
    log_weights = tf.constant([[-1000.0, -1000.0 + np.log(3)], [5.0, 5.0]])
    expected = [-1000 + np.log(2), 5.0]
    np.testing.assert_allclose(objectives.importance_weighted_bound(log_weights), expected)
    one = tf.constant([[-7.0]])
    np.testing.assert_array_equal(objectives.importance_weighted_bound(one), [-7.0])


def test_bits_per_dim():
    nats = -32 * 32 * 3 * np.log(2) * 3.08
    assert objectives.bits_per_dim(nats, (32, 32, 3)) == pytest.approx(3.08)
