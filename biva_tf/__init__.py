"""biva_tf: BIVA (Maaløe et al. 2019) in TensorFlow 2 and Keras."""

from biva_tf import quiet

with quiet.start_up_notes():
    from biva_tf.api import BIVA, build, load, load_pretrained, load_trained
    from biva_tf.training.optimizer import Adamax
    from biva_tf.training.step import Objective

__all__ = ["BIVA", "Adamax", "Objective", "build", "load", "load_pretrained", "load_trained"]
