"""Writes a trained model as a SavedModel for TF Serving. It appears whole and checked, or not."""

import contextlib
import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from biva_tf import api, artefacts
from biva_tf.data.grey import GreyRule
from biva_tf.errors import Setting, UserError
from biva_tf.extras import MissingPackageError
from biva_tf.files import naming, remove, write_json
from biva_tf.inference import exploration
from biva_tf.locks import only_one
from biva_tf.model import user_code
from biva_tf.model.spec import to_plain
from biva_tf.runs import config
from biva_tf.serving import signatures, warmup
from biva_tf.serving.limits import Limits
from biva_tf.serving.versions import versions

METADATA = "biva_tf.json"  # a version has it among its assets
CODE = "code"  # so is the folder of the copies of a user's own files
_TOLERANCE = 1e-4  # relative: the C++ loader runs the same kernels, in another grouping


class ExportError(UserError, RuntimeError):
    """A version that exists, or an export that does not compute what the model does."""


def export(
    model: api.BIVA,
    export_dir: str | Path,
    version: int | None = None,
    limits: Limits | None = None,
) -> Path:
    """Writes the model as a new version under `export_dir`, and returns the version's folder.

    A model without a ceiling of its log-variances is exported under one that is measured on its
    training data (`BIVA.under_ceiling`), if that can be read; a note says if it cannot.
    Without the package tensorflow-serving-api, the version has no warm-up requests.

    Args:
      model: the model.
      export_dir: the folder of the versions.
      version: its number; by default the next.
      limits: what the version refuses to compute; by default that of `Limits()`.

    Raises:
      ExportError: the model is not of images, the version exists, or what was written differs from
        the model; nothing is then left behind.
      LockedError: another process exports into the folder.
      OSError: the version cannot be written; nothing is left behind.
    """
    spec = model.spec
    if not spec.of_images:
        got = f"a model with the likelihood {spec.likelihood.kind}"
        raise ExportError(f"expected a model of images in [0, 1], got {got}")
    export_dir = Path(export_dir)
    with only_one(export_dir, Setting("export_dir", export_dir), "exporting"):
        remove(export_dir.glob(".[0-9]*-*"))  # what exports that were killed have left
        return _export(_under_ceiling(model), export_dir, version, limits or Limits())


def _export(model: api.BIVA, export_dir: Path, version: int | None, limits: Limits) -> Path:
    spec = model.spec
    if version is None:
        version = max(versions(export_dir), default=0) + 1
    folder = export_dir / str(version)
    if folder.exists():
        raise ExportError(f"{folder} exists; an exported version is never written over")
    # TF Serving ignores folders whose names are not numbers.
    temporary = tempfile.TemporaryDirectory(prefix=f".{version}-", dir=export_dir)
    with naming(folder), temporary as parent:
        new = Path(parent) / "model"
        _save(model, new, limits)
        metadata = _metadata(model, limits)
        metadata["parity"] = _parity(model, new, limits)
        copies, _ = user_code.write_copies(spec, new / "assets" / CODE)
        if copies:
            metadata["code"] = copies
        write_json(new / "assets" / METADATA, metadata)
        try:
            warmup.write(new, spec, limits)
        except MissingPackageError as e:  # a server loads the version without them too
            print(f"note: no warm-up requests: {e}", file=sys.stderr)
        try:
            new.rename(folder)
        except OSError as e:
            raise ExportError(f"{folder} could not be made ({e})") from e
    return folder


def _under_ceiling(model: api.BIVA) -> api.BIVA:
    try:
        return model.under_ceiling()
    except UserError as e:
        text = "the export has no ceiling of the log-variances, which training data is needed for"
        print(f"note: {text} ({e})", file=sys.stderr)
        return model


def _save(model: api.BIVA, folder: Path, limits: Limits) -> None:
    module, functions = signatures.module(model, limits, grey_rule(model))
    with tempfile.TemporaryDirectory() as parent:
        path = Path(parent) / METADATA
        write_json(path, {})  # reserves its place in the SavedModel; the content follows
        module.metadata = tf.saved_model.Asset(str(path))
        tf.saved_model.save(module, str(folder), signatures=functions)


def grey_rule(model: api.BIVA) -> GreyRule | None:
    """How the model reads grey pictures: as its training did; None if no run trained it."""
    settings = model.training.settings
    if "binarize" not in settings:
        return None
    rule = GreyRule.of(config.evaluation_data(settings))
    return None if rule.binarize == "none" else rule


def _metadata(model: api.BIVA, limits: Limits) -> dict[str, Any]:
    spec = model.spec
    return artefacts.stamped(
        "export",
        {
            "spec": to_plain(spec),
            "settings": dict(model.training.settings),
            "weights": model.training.weights,
            "weights_step": model.training.weights_step,
            "parameters": model.count_params(),
            "latents": {
                latent.name: list(shape)
                for latent, shape in zip(spec.latents, model.latent_shapes, strict=True)
            },
            "limits": dataclasses.asdict(limits),
            "git_revision": _git_revision(),
            "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        },
    )


def _git_revision() -> str | None:
    """The revision of the project's checkout, "-dirty" if it was changed; None outside of one.

    A package that was installed into a virtual environment inside another repository has none.
    """
    root = Path(signatures.__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    args = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(args, cwd=root, capture_output=True, text=True)
    except OSError:
        return None
    return result.stdout.strip() or None


def _parity(model: api.BIVA, folder: Path, limits: Limits) -> dict[str, float]:
    """The largest errors of the exported signatures, relative to the model's largest value.

    Raises ExportError if one is above the tolerance.
    """
    seed = 7
    spec = model.spec
    rows = min(3, limits.max_rows)
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, *spec.image_shape))
    if spec.likelihood.binary:
        pixels = 255 * (pixels > 127)
    images = (pixels / 255).astype(np.float32)
    k = spec.num_levels - 1
    seeds = np.array([seed, 0], np.int32)
    samples = min(3, limits.max_rows // rows)
    number, temperature = min(4, limits.max_samples), min(0.7, limits.max_temperature)
    requests: dict[str, dict[str, Any]] = {
        "sample": {"num_samples": number, "temperature": temperature, "seed": seeds},
        "score": {"images": images, "k": k, "num_importance_samples": samples, "seed": seeds},
        "reconstruct": {"images": images, "levels": 1, "seed": seeds},
    }
    expected: dict[tuple[str, str], np.ndarray] = {}
    if spec.classes is not None:
        requests["sample"]["label"] = spec.num_classes - 1
        requests["classify"] = {"images": images, "num_samples": samples, "seed": seeds}
        probabilities = model.classify(images, num_samples=samples, seed=seed)
        expected["classify", "probabilities"] = probabilities
    answers = dict(zip(requests, run_in_cpp_loader(folder, list(requests.items())), strict=True))
    arguments: dict[str, Any] = {"num_importance_samples": samples, "seed": seed}
    bound, above = model.score(images, **arguments), model.score(images, k=k, **arguments)
    expected |= {
        ("sample", "images"): model.sample(
            number, seed=seed, temperature=temperature, label=requests["sample"].get("label")
        ),
        ("score", "bound_nats"): bound.bound_nats,
        ("score", "kl_nats"): bound.kl_nats,
        ("score", "elbo_above_k_nats"): above.elbo_nats,
        ("reconstruct", "images"): exploration.reconstruct(model, images, (k,), seed=seed)[:, 0],
    }
    errors = {}
    for (signature, output), value in expected.items():
        error = np.abs(answers[signature][output] - value).max() / np.abs(value).max()
        errors[f"{signature}/{output}"] = float(error)
        if not error <= _TOLERANCE:
            raise ExportError(f"{signature}: {output} of the export is off by {error:.1e}")
    return errors


def run_in_cpp_loader(folder: Path, requests: Sequence[tuple[str, dict]]) -> list[dict]:
    """The outputs of (signature, inputs) requests, computed in a session of the C++ loader."""
    with cpp_loader(folder) as run:
        return [run(*request) for request in requests]


@contextlib.contextmanager
def cpp_loader(folder: Path) -> Iterator[Callable[[str, dict], dict]]:
    """Loads a SavedModel with TensorFlow's C++ loader; run(signature, inputs) gives outputs."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))

        def run(name: str, inputs: dict) -> dict:
            signature = meta_graph.signature_def[name]
            feeds = {signature.inputs[key].name: value for key, value in inputs.items()}
            return session.run({k: v.name for k, v in signature.outputs.items()}, feeds)

        yield run
