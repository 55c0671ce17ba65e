"""biva_tf: BIVA (Maaløe et al. 2019) in TensorFlow 2 and Keras."""

from biva_tf.api import build, load

__all__ = ["build", "load"]
