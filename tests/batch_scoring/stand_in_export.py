"""A stand-in for an export, whose graphs are small and whose scores are known."""

import json

import tensorflow as tf

from biva_tf.model.spec import to_plain
from biva_tf.runs import config


class Sums(tf.Module):
    """Simple functions of the images, the numbers and the arguments."""

    def __init__(self, kl_names):
        super().__init__()
        self._kl_names = kl_names

    @tf.function
    def score(self, images, numbers, k, num_importance_samples, seed):
        tf.debugging.assert_equal(tf.shape(images)[0] % 32, 0)
        sums = tf.reduce_sum(images, (1, 2, 3)) + tf.cast(seed[0], tf.float32)
        of_k = sums * tf.cast(k, tf.float32)
        return {
            "bound_nats": sums + 1000 * tf.cast(numbers, tf.float32),
            "bits_per_dim": sums / 784,
            "elbo_nats": sums * tf.cast(num_importance_samples, tf.float32),
            "reconstruction_nats": -sums,
            "kl_nats": tf.tile(sums[:, None], (1, len(self._kl_names))),
            "elbo_above_k_nats": of_k,
            "llr_above_k_nats": -of_k,
        }

    @tf.function
    def encode(self, images):
        return dict.fromkeys(self._kl_names, images[:, :3, :2, :])


def write(folder, spec):
    """Writes version 1, and version 2, which cannot score; returns the folder."""
    module = Sums(spec.kl_names)
    images = tf.TensorSpec([None, *spec.image_shape], tf.float32, "images")
    number = tf.TensorSpec([], tf.int32)
    arguments = (tf.TensorSpec([None], tf.int64), number, number, tf.TensorSpec([2], tf.int32))
    signatures = {
        "score_numbered": module.score.get_concrete_function(images, *arguments),
        "encode": module.encode.get_concrete_function(images),
    }
    for version, names in ((1, list(signatures)), (2, ["encode"])):
        path = folder / str(version)
        tf.saved_model.save(module, str(path), {name: signatures[name] for name in names})
        about = {"spec": to_plain(spec), "settings": config.defaults()}
        (path / "assets" / "biva_tf.json").write_text(json.dumps(about))
    return folder
