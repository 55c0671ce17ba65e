"""Makes a trained model that ships with the project from a model_dir:

    python -m tools.release.ship --model_dir=runs/fashion_small --name=fashion_small \\
      --flagfiles=configs/fashion_small.flags --licence="FashionMNIST is under the MIT licence."

Writes biva_tf/pretrained/NAME/: the selected weights in float16, under a ceiling of the
log-variances that is measured on the training data; the settings and metrics of the run, samples,
the first test images, and a model card. The test split is scored with the weights of the run and
again with the written ones; if L_1 or L_K moves by 0.05 nats or more, nothing is shipped.
"""

import dataclasses
import io
import shutil
from pathlib import Path

import numpy as np

from biva_tf import api, evaluate, pretrained, sample
from biva_tf.api import presets
from biva_tf.commands.start import start
from biva_tf.data.images import Images
from biva_tf.errors import UserError
from biva_tf.evaluation.summary import EvaluationSummary
from biva_tf.files import write_atomically
from biva_tf.runs import config, weights_file
from biva_tf.runs.run_dir import RunDir
from biva_tf.settings import Settings, required, setting

TOLERANCE_NATS = 0.05
_EXAMPLES = 64

# Settings that say where a run was made, not how.
_OF_A_MACHINE = ("data_dir", "init_from", "strategy", "logical_devices")


class ShipError(UserError, RuntimeError):
    """A model that cannot be shipped as it is."""


@dataclasses.dataclass(frozen=True)
class ShipSettings(Settings):
    """The settings of `python -m tools.release.ship`."""

    model_dir: str = required("The folder of the run.")
    name: str = required("The name of the shipped model.")
    flagfiles: tuple[str, ...] = required("The flagfiles of its trainings, first to last.")
    licence: str = required("A sentence about the licence of the data.")
    iw_samples: int = setting(100, "The K of the L_K that the card reports.", lower=1)
    num_examples: int = setting(0, "Score the first N test images; 0 for all.", lower=0)
    folder: str = setting(str(pretrained.FOLDER), "The folder of the shipped models.")


@dataclasses.dataclass(frozen=True)
class Shipped:
    """A shipped model.

    Attributes:
      folder: the model's folder.
      summary: the result on the test split, with the shipped weights.
      moved_nats: by how much L_1 and L_K differ from those of the weights of the run.
    """

    folder: Path
    summary: EvaluationSummary
    moved_nats: tuple[float, float]


def run(settings: ShipSettings) -> Shipped:
    """Ships a trained model, in place of an earlier one of the same name.

    Raises:
      ShipError: a flagfile does not exist, the model is of text, or the bound with the float16
        weights differs by 0.05 nats or more. An earlier model of the same name then stays as it
        was.
      UserError: the run or the data cannot be read.
    """
    for path in settings.flagfiles:
        if not Path(path).is_file():
            raise ShipError(f"--flagfiles={path}: expected a file, got none")
    run_dir = RunDir(Path(settings.model_dir))
    model = api.load(run_dir.path)
    training = model.training
    if training.vocabulary is not None:
        raise ShipError(f"--model_dir={run_dir.path}: expected a model of images, got one of text")
    data_dir = training.settings["data_dir"]
    before = _evaluate(settings, run_dir, data_dir).summary
    made = RunDir(run_dir.path / "shipped")
    shutil.rmtree(made.path, ignore_errors=True)
    plain = {name: value for name, value in training.settings.items() if name not in _OF_A_MACHINE}
    plain["binarize"] = config.data_config(training.settings).binarize  # earlier runs have "auto"
    model = model.under_ceiling()
    presets.save(made.path, model, dataclasses.replace(training, settings=plain), "float16")
    shutil.copy(run_dir.metrics, made.metrics)
    evaluated = _evaluate(settings, made, data_dir)
    after = evaluated.summary
    moved = (after.l_1.nats - before.l_1.nats, after.l_k.nats - before.l_k.nats)
    if max(map(abs, moved)) >= TOLERANCE_NATS:
        raise ShipError(
            f"--model_dir={run_dir.path}: in float16, L_1 and L_{settings.iw_samples} move by "
            f"{moved[0]:.3f} and {moved[1]:.3f} nats, expected less than {TOLERANCE_NATS}"
        )
    shutil.copy(evaluated.path, made.path / "evaluation.json")
    shutil.rmtree(made.evaluations)
    sample.run(sample.SampleSettings(model_dir=str(made.path), output=str(made.path / "samples")))
    (made.path / "samples.npz").unlink()
    _write_examples(model, made)
    card = _card(settings, made.path, after, moved)
    write_atomically(made.path / "README.md", card.encode())
    folder = Path(settings.folder) / settings.name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.move(made.path, folder)
    return Shipped(folder, after, moved)


def _evaluate(settings: ShipSettings, run_dir: RunDir, data_dir: str) -> evaluate.Evaluation:
    return evaluate.run(
        evaluate.EvaluateSettings(
            model_dir=str(run_dir.path),
            iw_samples=settings.iw_samples,
            num_examples=settings.num_examples,
            data_dir=data_dir,
        )
    )


def _write_examples(model: api.BIVA, made: RunDir) -> None:
    """Writes the first test images, for commands on machines without the data set."""
    images = model.images()
    if isinstance(images, Images):
        content = io.BytesIO()
        first = images.first(_EXAMPLES)
        np.savez_compressed(content, images=first.pixels, labels=first.labels)
        write_atomically(made.examples, content.getvalue())


def _card(
    settings: ShipSettings, folder: Path, summary: EvaluationSummary, moved: tuple[float, float]
) -> str:
    model = api.load(folder)
    spec, run_settings = model.spec, model.training.settings
    height, width, _ = spec.image_shape
    binarize = f"--binarize={run_settings['binarize']}"
    if run_settings["binarize"] == "threshold":
        binarize += f" --threshold={run_settings['threshold']}"
    commands = "\n".join(
        f"    tools/run.sh python -m biva_tf.train --flagfile={path}" for path in settings.flagfiles
    )
    command = f"python -m biva_tf.evaluate --pretrained={settings.name}"
    command += f" --iw_samples={settings.iw_samples}"
    if settings.num_examples:
        command += f" --num_examples={settings.num_examples}"
    binary = spec.likelihood.binary
    samples = "the probability of each pixel" if binary else "drawn pixel by pixel"
    kind = "that are binarised as above" if binary else "of 8 bits"
    size = weights_file.path(folder).stat().st_size / 1e6
    rows = "\n".join(
        f"| {name} | {-mean.nats:.2f} ± {mean.nats_standard_error:.2f} | {mean.bits_per_dim:.4f} |"
        for name, mean in (("L_1", summary.l_1), (f"L_{settings.iw_samples}", summary.l_k))
    )
    return f"""# {settings.name}

A BIVA of {spec.num_levels} levels, `--architecture={run_settings["architecture"]}`, with
{model.count_params():,} parameters, trained on `{run_settings["dataset"]}` under
`{binarize}`. `biva_tf.load("{settings.name}")` loads it; commands take
`--pretrained={settings.name}`.

Made by these commands (seed {run_settings["seed"]}; the weights are moving averages, of step
{model.training.weights_step:,}):

{commands}

The bound on {summary.examples:,} test images, with its standard error over the images
(`{command}`):

| | -nats | bits/dim |
|---|---|---|
{rows}

The weights are {size:.1f} MB in float16. In float32 the two bounds are
{abs(moved[0]):.3f} and {abs(moved[1]):.3f} nats away.

Samples of the prior, {samples}:

![samples](samples.png)

It scores {height}x{width} images {kind}; `examples.npz` has the first
{_EXAMPLES} of the test split, in 8 bits. It was not tested for any use beyond
the benchmarks in the project's `configs/RESULTS.md`.

The weights are under the project's MIT licence. {settings.licence}
"""


def _print(settings: ShipSettings) -> None:
    shipped = run(settings)
    print(
        f"L_1 {shipped.summary.l_1.nats:.3f}, L_{settings.iw_samples} "
        f"{shipped.summary.l_k.nats:.3f} nats; moved by {shipped.moved_nats[0]:.4f} and "
        f"{shipped.moved_nats[1]:.4f}"
    )
    print(shipped.folder)


if __name__ == "__main__":
    start("ship", ShipSettings, _print)
