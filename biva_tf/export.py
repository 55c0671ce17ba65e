"""Exports a trained model: python -m biva_tf.export --model_dir=runs/mnist_sample --export_dir=E

Writes E/N/, a SavedModel that TF Serving loads as it is (its signatures: `biva_tf.serving`), with
the selected averaged weights, or --weights=raw those of the newest training checkpoint. Before E/N/
appears, the export is loaded by TensorFlow's C++ loader and compared with the model. What was
exported stands in E/N/assets/biva_tf.json.
"""

from pathlib import Path

from absl import flags

from biva_tf import api, command, exporting

_EXPORT_DIR = flags.DEFINE_string("export_dir", None, "Where versions are.", required=True)
_VERSION = flags.DEFINE_integer(
    "version", None, "The number N of the version; by default the next.", lower_bound=1
)
_WEIGHTS = flags.DEFINE_enum(
    "weights", "averaged", api.WEIGHTS, "The selected moving averages, or the newest raw weights."
)


def _main() -> None:
    trained = api.load_trained(command.model_dir(), weights=_WEIGHTS.value)
    folder = exporting.export(trained, Path(_EXPORT_DIR.value), _VERSION.value)
    print(f"weights of step {trained.weights_step} ({trained.weights})")
    print(folder)


if __name__ == "__main__":
    command.start("export", _main)
