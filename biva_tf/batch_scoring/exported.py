"""An export of `biva_tf.export`: what it says about itself, without its graphs."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from biva_tf import artefacts
from biva_tf.model import user_code
from biva_tf.model.spec import ModelSpec
from biva_tf.serving import exporting, versions
from biva_tf.serving.versions import ExportedError

_NEEDED = "score_numbered"


@dataclasses.dataclass(frozen=True)
class Exported:
    """A version of an exported model.

    Attributes:
      folder: the version's folder.
      spec: the model's spec.
      settings: the settings of its training run.
      fingerprint: a hash of all that its scores depend on: graphs, weights, metadata.
      max_rows: the images of a request times their importance samples that it computes at most;
        None without a limit.
    """

    folder: Path
    spec: ModelSpec
    settings: dict[str, Any]
    fingerprint: str
    max_rows: int | None


def find(export_dir: Path, version: int | None) -> Exported:
    """The version of this number under a folder; by default the newest.

    Raises:
      ExportedError: there is none, or it cannot score numbered images.
    """
    folder = versions.existing(export_dir, version)
    try:
        _, metadata = artefacts.load(folder / "assets" / exporting.METADATA, "export")
        graphs = (folder / "saved_model.pb").read_bytes()
        model = saved_model_pb2.SavedModel.FromString(graphs)
        signatures = model.meta_graphs[0].signature_def
        fingerprint = hashlib.sha256(graphs)
        for path in sorted((folder / "variables").iterdir()):
            fingerprint.update(path.read_bytes())
        code = folder / "assets" / exporting.CODE
        spec = user_code.read_spec(metadata["spec"], code, metadata.get("code", []))
        settings = metadata["settings"]
        max_rows = metadata.get("limits", {}).get("max_rows")  # earlier versions have none
    except (OSError, ValueError, KeyError, IndexError, DecodeError) as e:
        expected = f"an export by biva_tf.export ({type(e).__name__}: {e})"
        raise ExportedError(f"{folder}: expected {expected}") from e
    if _NEEDED not in signatures:
        present = ", ".join(sorted(signatures))
        raise ExportedError(
            f"{folder}: expected the signature {_NEEDED}, it has {present}; export the model again"
        )
    _check_weights(folder / "variables")
    return Exported(folder, spec, settings, fingerprint.hexdigest()[:32], max_rows)


def _check_weights(folder: Path) -> None:
    """Reads the weights, with the checksums that TensorFlow keeps of them."""
    try:
        reader = tf.train.load_checkpoint(str(folder / "variables"))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, IndexError, ValueError) as e:
        raise ExportedError(
            f"{folder}: expected the weights as biva_tf.export wrote them, got damaged ones "
            f"({' '.join(str(e).split()):.200}); export the model again"
        ) from e
