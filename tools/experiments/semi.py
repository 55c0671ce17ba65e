r"""Semi-supervised classification with several sets of labels (paper, Table 3):

    python -m tools.experiments.semi --output_dir=runs/semi -- \
      --flagfile=configs/mnist_10k_semi.flags

Trains, for each set of labels, BIVA, LVAE+, and BIVA's classifier on the labels alone, and prints
the test error of each: mean and standard deviation over the sets. biva_tf.train gets the flags that
follow `--` (`tools.experiments.sweep`). Finished trainings are not done again, and interrupted ones
are resumed. All numbers are also in the JSON object of the last line and in
OUTPUT_DIR/semi_LABELS.json.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from biva_tf import classify
from biva_tf.commands.start import start
from biva_tf.errors import SettingsError
from biva_tf.evaluation.classes import Classification
from biva_tf.files import write_json
from biva_tf.model import architectures
from biva_tf.settings import Settings, required, setting
from tools.experiments import sweep
from tools.experiments.sweep import Sweep

_SET_BY = {
    "model_dir": "output_dir",
    "architecture": "architecture",
    "labels": "labels",
    "label_seed": "label_seeds",
}


@dataclasses.dataclass(frozen=True)
class SemiSettings(Settings):
    """The settings of `python -m tools.experiments.semi`."""

    output_dir: str = required("The folder of the runs.")
    architecture: str = setting("small_semi", "The BIVA with classes.")
    labels: int = setting(100, "Labelled training images.", lower=1)
    label_seeds: tuple[int, ...] = setting(
        (0, 1, 2, 3, 4), "Each chooses a set of labels.", lower=0
    )
    lvae_plus: bool = setting(True, "Train its LVAE+ too.")
    alone_steps: int = setting(300, "Steps of the classifier on the labels alone.", lower=1)
    num_samples: int = setting(10, "Samples of the bottom-up latents per test image.", lower=1)


@dataclasses.dataclass(frozen=True)
class SemiRow:
    """The results of a model, one for each set of labels."""

    name: str
    results: tuple[Classification, ...]


def run(settings: SemiSettings, passed: Sequence[str] = ()) -> list[SemiRow]:
    """Trains the models that are not trained yet, and returns the table.

    Args:
      settings: the models and the sets of labels.
      passed: more flags for biva_tf.train. The classifier on the labels alone keeps its own steps.

    Raises:
      SpecError: there is no such BIVA.
      SettingsError: it has no classes, no seed is given, or a flag cannot be passed.
      TrainingError: a training run failed.
    """
    base = settings.architecture
    if architectures.get(base).classes is None:
        raise SettingsError(f"--architecture: expected one with classes, got {base!r}")
    sweep.check_some("label_seeds", settings.label_seeds)
    models = {base: {"architecture": base}}
    if settings.lvae_plus:
        models[f"{base}_lvae_plus"] = {"architecture": f"{base}_lvae_plus"}
    alone = {"architecture": base, "bound_weight": 0, "steps": settings.alone_steps}
    models[f"{base}_labels_alone"] = alone
    runs = Sweep(Path(settings.output_dir), passed=passed, set_by=_SET_BY)
    rows = []
    for name, own in models.items():
        results = [_result(settings, runs, name, own, seed) for seed in settings.label_seeds]
        rows.append(SemiRow(name, tuple(results)))
    write_json(runs.folder / f"semi_{settings.labels}.json", _plain(settings, rows))
    return rows


def _result(
    settings: SemiSettings, runs: Sweep, name: str, own: dict[str, Any], seed: int
) -> Classification:
    """Trains a model with a set of labels if needed, and classifies the test images."""
    own = {**own, "labels": settings.labels, "label_seed": seed}
    run_dir = runs.train(f"{name}_{settings.labels}_labels_{seed}", own)
    asked = classify.ClassifySettings(model_dir=str(run_dir.path), num_samples=settings.num_samples)
    summary = classify.run(asked).summary
    keras.backend.clear_session()
    return summary


def _plain(settings: SemiSettings, rows: list[SemiRow]) -> dict[str, Any]:
    """All numbers, for JSON."""
    models = [
        {
            "name": row.name,
            "error": [result.error for result in row.results],
            "nll_nats": [result.nll_nats for result in row.results],
            "ece": [result.ece for result in row.results],
        }
        for row in rows
    ]
    return {"labels": settings.labels, "label_seeds": settings.label_seeds, "models": models}


def _mean(values: Sequence[float]) -> str:
    """The mean, and the standard deviation if there is one."""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return sweep.plus_minus(np.mean(values), np.std(values, ddof=1), 3)


def _print(settings: SemiSettings, passed: list[str]) -> None:
    rows = run(settings, passed)
    sets = len(settings.label_seeds)
    head = ["model", "error, %", "-log q(y|x), nats", "ECE"]
    cells = [
        [
            row.name,
            _mean([100 * result.error for result in row.results]),
            _mean([result.nll_nats for result in row.results]),
            _mean([result.ece for result in row.results]),
        ]
        for row in rows
    ]
    title = f"Test split, {settings.labels} labels, {sets} sets: mean and standard deviation"
    sweep.show([title, *sweep.table(head, cells)], _plain(settings, rows))


if __name__ == "__main__":
    start("semi", SemiSettings, _print, passes_arguments=True)
