"""biva_tf: BIVA (Maaløe et al. 2019) in TensorFlow 2 and Keras."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported

from biva_tf.api import build, load, load_trained

__all__ = ["build", "load", "load_trained"]
