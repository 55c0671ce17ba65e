"""Samples of a Gaussian."""

import tensorflow as tf


def stochastic_gaussian(mean, log_variance):
    """Every Gaussian has the original's one seed, so those of one shape share their noise."""
    noise = tf.random_normal(tf.shape(mean), seed=1234)
    return mean + tf.exp(log_variance / 2) * noise
