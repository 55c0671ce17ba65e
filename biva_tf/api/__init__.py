"""The Python API: the model as a Keras model, untrained, from a run, or one that ships."""

from biva_tf.api.model import BIVA, build, load
from biva_tf.api.training import Training

__all__ = ["BIVA", "Training", "build", "load"]
