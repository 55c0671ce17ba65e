"""Names and files of the original TensorFlow 1 program."""

import dataclasses
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from biva_tf.errors import UserError
from biva_tf.model.kinds import BlockKind, LatentKind
from biva_tf.model.network import Network
from biva_tf.model.spec import (
    Bernoulli,
    BlockSpec,
    ConvLatent,
    DenseLatent,
    LogisticMixture,
    ModelSpec,
    SpecError,
    StageSpec,
)

_SCOPE = "BIVA"
_LIKELIHOODS = {"bernoulli": Bernoulli(), "discretized": LogisticMixture()}


class ReferenceFileError(UserError, ValueError):
    """A reference file that does not fit the format; the message names the file and the key."""


def variables_by_tf1_name(model: Network) -> dict[str, keras.Variable]:
    """The model's weights under the names that the original gives them."""
    return {f"{_SCOPE}/{v.path}": v for v in model.trainable_variables}


def relative_error(expected: np.ndarray, actual: np.ndarray) -> float:
    """The largest |actual - expected| divided by the largest |expected|.

    If `expected` is all zeros, the result is the largest |actual|. If the shapes differ or a value
    is not finite, the result is inf.
    """
    finite = np.all(np.isfinite(expected)) and np.all(np.isfinite(actual))
    if expected.shape != actual.shape or not finite:
        return float("inf")
    worst = np.max(np.abs(actual.astype(np.float64) - expected))
    return float(worst / (np.max(np.abs(expected)) or 1.0))


@dataclasses.dataclass(frozen=True)
class Reference:
    """A file of arrays that the original computed, and the model that the file describes.

    Attributes:
      path: the path of the file.
      spec: the spec of the model.
      arrays: every array by its key.
    """

    path: Path
    spec: ModelSpec
    arrays: Mapping[str, np.ndarray]

    def __getitem__(self, key: str) -> np.ndarray:
        if key not in self.arrays:
            raise ReferenceFileError(f"{self.path}: no array {key!r}")
        return self.arrays[key]

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays whose keys start with a prefix such as "var/", by the rest of the key."""
        n = len(prefix)
        return {key[n:]: array for key, array in self.arrays.items() if key.startswith(prefix)}

    def noise(self, prefix: str, rows: int, model: Network) -> dict[str, np.ndarray]:
        """The noise of every latent under a prefix. Its shapes must fit the model."""
        noise = {}
        for latent, shape in zip(self.spec.latents, model.latent_shapes, strict=True):
            array = noise[latent.name] = self[f"{prefix}{latent.name}"]
            if array.shape != (rows, *shape):
                key, expected = f"{prefix}{latent.name}", (rows, *shape)
                raise ReferenceFileError(
                    f"{self.path}: {key}: expected {expected}, got {array.shape}"
                )
        return noise


def read_reference(path: str | Path) -> Reference:
    """Reads a reference file.

    Raises:
      ReferenceFileError: the file is missing or is not an npz file, its `config_json` does not
        describe a model, or an array does not hold finite float32 numbers.
    """
    path = Path(path)
    try:
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files}
    except FileNotFoundError as e:
        raise ReferenceFileError(f"{path}: no such file") from e
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as e:
        raise ReferenceFileError(f"{path}: expected an npz file of arrays ({e})") from e
    if "config_json" not in arrays:
        raise ReferenceFileError(f"{path}: no array 'config_json'")
    try:
        config = json.loads(str(arrays.pop("config_json")))
        spec = spec_from_config(config)
    except json.JSONDecodeError as e:
        raise ReferenceFileError(f"{path}: config_json is not JSON: {e}") from e
    except SpecError as e:
        raise ReferenceFileError(f"{path}: config_json: {e}") from e
    for key, array in arrays.items():
        if array.dtype != np.float32:
            raise ReferenceFileError(f"{path}: {key}: expected float32, got {array.dtype}")
        if not np.all(np.isfinite(array)):
            raise ReferenceFileError(f"{path}: {key}: expected finite numbers")
    names = [latent.name for latent in spec.latents]
    order = config.get("latent_order", names)
    if order != names:
        raise ReferenceFileError(f"{path}: latent_order: expected {names}, got {order}")
    return Reference(path, spec, arrays)


def spec_from_config(config: Any) -> ModelSpec:
    """The spec for the original's arguments.

    These are input_shape, deterministic_layers, stochastic_layers and output_distribution.

    Raises:
      SpecError: a field is missing, or its value is not one that the original supports.
    """

    def field(name):
        if not isinstance(config, dict) or name not in config:
            raise SpecError(f"{name}: expected a value, got nothing")
        return config[name]

    likelihood = field("output_distribution")
    if likelihood not in tuple(_LIKELIHOODS):
        expected = ", ".join(_LIKELIHOODS)
        raise SpecError(f"output_distribution: expected one of {expected}, got {likelihood!r}")
    layers, latents = field("deterministic_layers"), field("stochastic_layers")
    if not isinstance(layers, list) or not isinstance(latents, list) or len(layers) != len(latents):
        raise SpecError(
            "deterministic_layers, stochastic_layers: expected two lists of equal length, "
            f"got {layers!r} and {latents!r}"
        )
    stages = []
    for i, (blocks, latent) in enumerate(zip(layers, latents, strict=True)):
        try:
            blocks = tuple(BlockSpec(n, tuple(k), tuple(s)) for n, k, s in blocks)
            stages.append(StageSpec(blocks, _latent(latent)))
        except (TypeError, ValueError) as e:
            raise SpecError(f"stage {i + 1}: {e}") from e
    shape = field("input_shape")
    return ModelSpec(
        image_shape=tuple(shape) if isinstance(shape, list) else shape,
        stages=tuple(stages),
        likelihood=_LIKELIHOODS[likelihood],
    )


def config_from_spec(spec: ModelSpec) -> dict[str, Any]:
    """The original's arguments for a spec: the inverse of `spec_from_config`.

    The original has no ceiling of the log-variances, which is left out: images like those of the
    training have the same scores without it.

    Raises:
      SpecError: the original cannot build this model.
    """
    config = {
        "input_shape": list(spec.image_shape),
        "deterministic_layers": [
            [_in_tf1(block, f"stages[{i}].blocks[{j}]") for j, block in enumerate(stage.blocks)]
            for i, stage in enumerate(spec.stages)
        ],
        "stochastic_layers": [
            _in_tf1(stage.latent, f"stages[{i}].latent") for i, stage in enumerate(spec.stages)
        ],
        "output_distribution": {ours: name for name, ours in _LIKELIHOODS.items()}[spec.likelihood],
    }
    dropout = {name: getattr(spec, name) for name in ("dropout_inference", "dropout_generative")}
    if dataclasses.replace(spec_from_config(config), **dropout) != spec.with_ceiling(None):
        raise SpecError("the original has no model like this one")
    return config


def _in_tf1(part: BlockKind | LatentKind, path: str) -> Any:
    config = part.in_tf1()
    if config is None:
        raise SpecError(f"{path}: the original has no {part.family} of the kind {part.kind!r}")
    return config


def _latent(config: Any) -> DenseLatent | ConvLatent:
    if isinstance(config, int):
        return DenseLatent(config)
    channels, kernel, stride = config
    if list(stride) != [1, 1]:
        raise SpecError(f"stochastic_layers: expected stride (1, 1) of a latent, got {stride!r}")
    return ConvLatent(channels, tuple(kernel))


def load_variables(model: Network, values: Mapping[str, np.ndarray], source: str) -> None:
    """Sets every weight of a model from arrays by TF1 name.

    Raises:
      ReferenceFileError: variables are missing, unknown or misshapen; the message names them all.
    """
    variables = variables_by_tf1_name(model)
    missing = [name for name in variables if name not in values]
    unknown = [name for name in values if name not in variables]
    shapes = [
        f"{name} (expected {tuple(v.shape)}, got {values[name].shape})"
        for name, v in variables.items()
        if name in values and tuple(v.shape) != values[name].shape
    ]
    problems = [
        f"{len(names)} {kind}: {', '.join(names)}"
        for kind, names in (("missing", missing), ("unknown", unknown), ("misshapen", shapes))
        if names
    ]
    if problems:
        raise ReferenceFileError(f"{source}: variables do not fit the model: {'; '.join(problems)}")
    for name, variable in variables.items():
        variable.assign(values[name])
