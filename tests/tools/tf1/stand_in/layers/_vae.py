"""Samples of a Gaussian."""

import tensorflow as tf


def stochastic_gaussian(mean, log_variance):
    """As in the original, all have one seed, so that Gaussians of one shape share their noise."""
    noise = tf.random_normal(tf.shape(mean), seed=1234)
    return mean + tf.exp(log_variance / 2) * noise
