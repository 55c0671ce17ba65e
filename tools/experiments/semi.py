r"""Semi-supervised classification with several sets of labels (paper, Table 3):

    python -m tools.experiments.semi --output_dir=runs/semi -- \
      --flagfile=configs/mnist_10k_semi.flags

Trains, for each set of labels, BIVA, LVAE+, and BIVA's classifier on the labels alone, and prints
the test error of each: mean and standard deviation over the sets. biva_tf.train gets the flags that
follow `--`. Finished trainings are not done again, and interrupted ones are resumed. All numbers
are also in OUTPUT_DIR/semi_LABELS.json.
"""

import dataclasses
from pathlib import Path

import keras
import numpy as np

from biva_tf import classify
from biva_tf.commands.start import start
from biva_tf.errors import SettingsError
from biva_tf.evaluation.classes import Classification
from biva_tf.files import write_json
from biva_tf.model import architectures
from biva_tf.settings import required, setting
from tools.experiments import sweep


@dataclasses.dataclass(frozen=True)
class SemiSettings:
    """The settings of `python -m tools.experiments.semi`."""

    output_dir: str = required("The folder of the runs.")
    architecture: str = setting("small_semi", "The BIVA with classes.")
    labels: int = setting(100, "Labelled training images.", lower=1)
    label_seeds: tuple[int, ...] = setting((0, 1, 2, 3, 4), "Each chooses a set of labels.")
    lvae_plus: bool = setting(True, "Train its LVAE+ too.")
    alone_steps: int = setting(300, "Steps of the classifier on the labels alone.", lower=1)
    num_samples: int = setting(10, "Samples of the bottom-up latents per test image.", lower=1)


@dataclasses.dataclass(frozen=True)
class Row:
    """The results of a model, one for each set of labels."""

    name: str
    results: tuple[Classification, ...]


def run(settings: SemiSettings, training_flags: list[str]) -> list[Row]:
    """Trains the models that are not trained yet, and returns the table.

    Args:
      settings: the models and the sets of labels.
      training_flags: more flags for biva_tf.train.

    Raises:
      SpecError: there is no such BIVA.
      SettingsError: it has no classes, or no seed is given.
      TrainingError: a training run failed.
    """
    base = settings.architecture
    if architectures.get(base).classes is None:
        raise SettingsError(f"--architecture: expected one with classes, got {base!r}")
    if not settings.label_seeds:
        raise SettingsError("--label_seeds: expected at least one seed, got none")
    models = {base: (base, {})}
    if settings.lvae_plus:
        models[f"{base}_lvae_plus"] = (f"{base}_lvae_plus", {})
    alone = {"bound_weight": 0, "steps": settings.alone_steps}
    models[f"{base}_labels_alone"] = (base, alone)
    rows = []
    for name, (architecture, flags) in models.items():
        results = []
        for seed in settings.label_seeds:
            folder = Path(settings.output_dir) / f"{name}_{settings.labels}_labels_{seed}"
            results.append(_result(settings, folder, architecture, seed, flags, training_flags))
        rows.append(Row(name, tuple(results)))
    plain = [
        {
            "name": row.name,
            "error": [result.error for result in row.results],
            "nll_nats": [result.nll_nats for result in row.results],
            "ece": [result.ece for result in row.results],
        }
        for row in rows
    ]
    write_json(
        Path(settings.output_dir) / f"semi_{settings.labels}.json",
        {"labels": settings.labels, "label_seeds": settings.label_seeds, "models": plain},
    )
    return rows


def _result(
    settings: SemiSettings,
    folder: Path,
    architecture: str,
    seed: int,
    flags: dict,
    training_flags: list[str],
) -> Classification:
    of_run = {
        "model_dir": folder,
        "architecture": architecture,
        "labels": settings.labels,
        "label_seed": seed,
        **flags,
    }
    sweep.train(folder.name, [*training_flags, *sweep.flags(of_run)])
    found = classify.run(
        classify.ClassifySettings(model_dir=str(folder), num_samples=settings.num_samples)
    )
    keras.backend.clear_session()
    return found.summary


def _print(settings: SemiSettings, training_flags: list[str]) -> None:
    rows = run(settings, training_flags)
    sets = len(settings.label_seeds)
    print(f"Test split, {settings.labels} labels, {sets} sets: mean and standard deviation")
    print(f"{'':<32}{'error, %':>18}{'-log q(y|x), nats':>22}{'ECE':>18}")
    for row in rows:
        line = f"{row.name:<32}"
        for name, factor, width in (("error", 100, 18), ("nll_nats", 1, 22), ("ece", 1, 18)):
            values = factor * np.array([getattr(result, name) for result in row.results])
            deviation = f" ± {values.std(ddof=1):.3f}" if sets > 1 else ""
            line += f"{f'{values.mean():.3f}{deviation}':>{width}}"
        print(line)


if __name__ == "__main__":
    start("semi", SemiSettings, _print, passes_arguments=True)
