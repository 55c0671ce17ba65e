"""Requests that TF Serving runs when it loads a version, so that no client waits for them."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from biva_tf import extras
from biva_tf.model.spec import ModelSpec
from biva_tf.serving.limits import Limits

_PATH = Path("assets.extra") / "tf_serving_warmup_requests"  # where TF Serving looks


def requests(spec: ModelSpec, limits: Limits) -> tuple[tuple[str, dict[str, np.ndarray]], ...]:
    """(signature, inputs) of one small request for each signature that has passes of its own.

    `encode` and `decode` are left out: their first run is as fast as the later ones.
    """
    seed = np.zeros(2, np.int32)
    images = np.zeros((1, *spec.image_shape), np.float32)
    one = np.int32(1)
    temperature = np.float32(min(1.0, limits.max_temperature))
    arguments = {"num_importance_samples": one, "seed": seed}
    sample = {"num_samples": one, "temperature": temperature, "seed": seed}
    of_classes: tuple[tuple[str, dict[str, np.ndarray]], ...] = ()
    if spec.classes is not None:
        sample["label"] = np.int32(-1)
        of_classes = (("classify", {"images": images, "num_samples": one, "seed": seed}),)
    return (
        ("sample", sample),
        ("score", {"images": images, "k": np.int32(0), **arguments}),
        ("score", {"images": images, "k": np.int32(spec.num_levels - 1), **arguments}),
        ("reconstruct", {"images": images, "levels": np.int32(spec.num_levels), "seed": seed}),
        *of_classes,
    )


def write(folder: Path, spec: ModelSpec, limits: Limits) -> None:
    """Writes them into a SavedModel's folder, in TF Serving's format.

    Raises:
      MissingPackageError: tensorflow-serving-api, which has the format, is not installed.
    """
    extras.require("writing warm-up requests", "tensorflow_serving")
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    path = folder / _PATH
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests(spec, limits):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "biva"
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            writer.write(log.SerializeToString())
