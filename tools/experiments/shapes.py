"""Compares the bounds that small models reach in the same time:

    python -m tools.experiments.shapes --output_dir=runs/shapes --data_dir=D

Measures the training step of each model, the models taking turns; then trains each for as many
steps as fit into --seconds, and prints -ELBO on the validation split, with moving averages. This
is how `small_l5`, the architecture of the trained models that ship, was chosen. The table is also
in the JSON object of the last line and in OUTPUT_DIR/shapes.json.
"""

import dataclasses
import json
from pathlib import Path

from biva_tf import api
from biva_tf.commands.start import start
from biva_tf.data import sources
from biva_tf.files import write_atomically, write_json
from biva_tf.model import architectures
from biva_tf.model.kinds import LatentKind
from biva_tf.model.spec import BlockSpec, ConvLatent, DenseLatent, ModelSpec, StageSpec
from biva_tf.nn.compute import Compute
from biva_tf.settings import Settings, required, setting
from tools.bench import step_time
from tools.experiments import sweep
from tools.experiments.sweep import Sweep

_BATCH = 32
_EVALUATIONS = 4


@dataclasses.dataclass(frozen=True)
class ShapesSettings(Settings):
    """The settings of `python -m tools.experiments.shapes`."""

    output_dir: str = required("The folder of the runs.")
    dataset: str = setting("fashion_mnist", "The data set.", choices=sources.names())
    data_dir: str = setting(sources.default_data_dir(), "The folder of prepared data sets.")
    seconds: float = setting(150.0, "The time that each model trains for.", lower=1.0)
    learning_rate: float = setting(0.01, "The initial learning rate.", lower=0.0)
    seed: int = setting(0, "Seed of the weights, the noise and the order of the data.", lower=0)
    names: tuple[str, ...] | None = setting(None, "Some of the models; by default all.")


@dataclasses.dataclass(frozen=True)
class Shape:
    """A model to compare: its spec, the precision it trains in, and a description."""

    spec: ModelSpec
    description: str
    precision: str = "mixed_bfloat16"


@dataclasses.dataclass(frozen=True)
class ShapeRow:
    """The result of a model.

    Attributes:
      name, description: the model's name and description.
      parameters: its number of parameters.
      seconds_per_step: the measured median.
      steps: the number of steps that fit into the time.
      validation_elbo_nats: the validation ELBO after these steps.
    """

    name: str
    description: str
    parameters: int
    seconds_per_step: float
    steps: int
    validation_elbo_nats: float


def _block(filters: int, kernel: int = 3, stride: int = 1) -> BlockSpec:
    return BlockSpec(filters, (kernel, kernel), (stride, stride))


def _spec(*stages: tuple[list[BlockSpec], LatentKind]) -> ModelSpec:
    return ModelSpec((28, 28, 1), tuple(StageSpec(tuple(blocks), z) for blocks, z in stages))


def shapes() -> dict[str, Shape]:
    """The models to compare, by name."""
    b, dense = _block, DenseLatent
    small_l5, sample = architectures.small_l5(), architectures.mnist_sample()
    return {
        "small_l5": Shape(small_l5, "L = 5: z1 and z2 from 14x14 maps, z3 and z4 from 7x7"),
        "small_l5_float32": Shape(small_l5, "small_l5 in float32", "float32"),
        "small_l5_free": Shape(
            dataclasses.replace(small_l5, log_variance="free"),
            "small_l5, with variances below 1 too",
        ),
        "mnist_sample": Shape(sample, "L = 3: z1 and z2 from 14x14 maps, 24 filters"),
        "four": Shape(
            _spec(
                ([b(16, 5, 2), b(16)], dense(24)),
                ([b(16), b(16)], dense(16)),
                ([b(24), b(24, 3, 2)], dense(16)),
                ([b(32), b(32, 3, 2)], dense(8)),
            ),
            "L = 4: small_l5 without its level 4",
        ),
        "four_wide": Shape(
            _spec(
                ([b(20, 5, 2), b(20)], dense(24)),
                ([b(20), b(20)], dense(16)),
                ([b(32), b(32, 3, 2)], dense(16)),
                ([b(48), b(48, 3, 2)], dense(10)),
            ),
            "L = 4, with 20 to 48 filters",
        ),
        "small_maps": Shape(
            _spec(
                ([b(24, 5, 2), b(32, 3, 2)], dense(24)),
                ([b(32), b(32)], dense(16)),
                ([b(32), b(32)], dense(16)),
                ([b(32), b(32)], dense(12)),
                ([b(32, 3, 2), b(32)], dense(8)),
            ),
            "L = 5, all latents from 7x7 or 4x4 maps, 32 filters",
        ),
        "map_latents": Shape(
            _spec(
                ([b(32, 5, 2), b(32, 3, 2)], ConvLatent(8, (7, 7))),
                ([b(64), b(64)], ConvLatent(8, (7, 7))),
                ([b(64, 3, 2), b(64)], dense(24)),
            ),
            "L = 3, z1 and z2 are 7x7 maps of 8 channels",
        ),
    }


def run(settings: ShapesSettings) -> list[ShapeRow]:
    """Trains the models that are not trained yet, and returns the table, best first.

    Raises:
      SettingsError: there is no model of that name.
      TrainingError: a training run failed.
    """
    known = shapes()
    names = list(settings.names or known)
    sweep.check_some("names", names, known)
    folder = Path(settings.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_atomically(_json(folder, name), known[name].spec.to_json().encode())
    configs = {
        n: step_time.make_config(str(_json(folder, n)), _BATCH, Compute("auto", known[n].precision))
        for n in names
    }
    seconds = step_time.measured_once(folder / "seconds_per_step.json", configs)
    rows = []
    for name in names:
        # A multiple of the steps between two evaluations, so that the last one is the result's.
        every = max(1, round(settings.seconds / seconds[name] / _EVALUATIONS))
        steps = every * _EVALUATIONS
        elbo = _train(settings, Sweep(folder), name, known[name].precision, steps, every)
        parameters = api.build(known[name].spec).count_params()
        rows.append(ShapeRow(name, known[name].description, parameters, seconds[name], steps, elbo))
    rows.sort(key=lambda row: -row.validation_elbo_nats)
    write_json(folder / "shapes.json", sweep.plain(rows))
    return rows


def _json(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _train(
    settings: ShapesSettings, runs: Sweep, name: str, precision: str, steps: int, every: int
) -> float:
    """Trains a model if needed; its validation ELBO at the end."""
    own = {
        "architecture": _json(runs.folder, name),
        "dataset": settings.dataset,
        "data_dir": settings.data_dir,
        "precision": precision,
        "batch_size": _BATCH,
        "steps": steps,
        "learning_rate": settings.learning_rate,
        "ema_decay": 0.99,
        "log_every": every,
        "eval_every": every,
        "checkpoint_every": every,
        "seed": settings.seed,
    }
    metrics = runs.train(name, own).metrics
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [line["elbo"] for line in lines if line["split"] == "validation"][-1]


def _print(settings: ShapesSettings) -> None:
    rows = run(settings)
    head = ["model", "description", "parameters", "ms a step", "steps", "-ELBO, nats"]
    cells = [
        [
            row.name,
            row.description,
            f"{row.parameters:,}",
            f"{1000 * row.seconds_per_step:.0f}",
            f"{row.steps:,}",
            f"{-row.validation_elbo_nats:.2f}",
        ]
        for row in rows
    ]
    title = f"Validation split after {settings.seconds:g} s of training:"
    sweep.show([title, *sweep.table(head, cells, left=2)], sweep.plain(rows))


if __name__ == "__main__":
    start("shapes", ShapesSettings, _print)
