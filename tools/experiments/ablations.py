"""Trains BIVA, LVAE+, LVAE and VAE, and prints their results in the form of the paper's Table 1:

    python -m tools.experiments.ablations --output_dir=runs/ablations --seeds=0,1

biva_tf.train trains every model for the same number of steps on the same batches. With --equal_time
it then trains each ablation on, until it has taken as long as BIVA by the measured time of a step,
and the results come a second time. biva_tf.train also gets any flags that follow `--`
(`tools.experiments.sweep`). Finished trainings are not done again, and interrupted ones are
resumed.

The results are for the test split, with the weights that were selected on the validation split: the
ELBO with one sample per image; with --iw_samples=K, L_1 and L_K (`biva_tf.evaluate`); with
--out_dataset=B, how well L^{>k} and LLR^{>k} tell B from the models' data (`biva_tf.anomaly`). All
of them are also in the JSON object of the last line and in OUTPUT_DIR/ablations.json.
"""

import dataclasses
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np

from biva_tf import anomaly, api, evaluate
from biva_tf.choices import BELOW
from biva_tf.commands.start import start
from biva_tf.data import sources
from biva_tf.evaluation.detection import Detection
from biva_tf.evaluation.summary import Mean
from biva_tf.files import write_json
from biva_tf.inference import objectives
from biva_tf.model import architectures
from biva_tf.nn.compute import Compute
from biva_tf.runs.run_dir import RunDir
from biva_tf.settings import Settings, required, setting
from tools.bench import step_time
from tools.experiments import sweep
from tools.experiments.sweep import Sweep


@dataclasses.dataclass(frozen=True)
class AblationsSettings(Settings):
    """The settings of `python -m tools.experiments.ablations`."""

    output_dir: str = required("The folder of the runs.")
    architecture: str = setting("mnist_sample", "The BIVA to compare with its ablations.")
    steps: int = setting(1000, "Training steps of every model.", lower=1)
    seeds: tuple[int, ...] = setting(
        (0, 1), "Seeds; every model is trained once with each.", lower=0
    )
    vae: bool = setting(False, "Train the VAE too.")
    equal_time: bool = setting(
        False, "Then train each ablation on, for as long as BIVA took, and compare again."
    )
    iw_samples: int = setting(0, "K of L_K on the test split; 0 to leave L_1 and L_K out.", lower=0)
    num_examples: int = setting(
        0, "Compute L_1 and L_K of the first N test images; 0 for all.", lower=0
    )
    out_dataset: str | None = setting(
        None, "Another data set, to tell from the models' own.", choices=sources.names()
    )
    anomaly_samples: int = setting(
        10, "Samples whose mean is L^{>k}, and the K of L_K^{>k}.", lower=1
    )
    anomaly_examples: int = setting(0, "Score the first N test images of both; 0 for all.", lower=0)
    below: str = setting(
        "sample",
        "Latents of levels <= k are a sample of their prior, or its mode.",
        choices=BELOW,
    )


@dataclasses.dataclass(frozen=True)
class RunResult:
    """The result of a run on the test split.

    Attributes:
      seed: the run's seed.
      step: the number of training steps.
      elbo_nats: the mean ELBO, with one sample per image.
      kl_nats: KL(q||p) by latent.
      l_1, l_k: the bounds with K samples per image; None if not asked for.
      detections: how well each score detects the other data set, by the score's name; empty if not
        asked for.
    """

    seed: int
    step: int
    elbo_nats: float
    kl_nats: dict[str, float]
    l_1: Mean | None
    l_k: Mean | None
    detections: dict[str, Detection]


@dataclasses.dataclass(frozen=True)
class AblationRow:
    """A row of the table: a model's name, number of parameters, and result for each seed."""

    name: str
    parameters: int
    results: tuple[RunResult, ...]


@dataclasses.dataclass(frozen=True)
class Ablations:
    """The tables.

    Attributes:
      equal_steps: every model was trained for the same number of steps.
      equal_time: each ablation was trained for as long as BIVA, and for no fewer steps; empty if
        not asked for.
      seconds_per_step: the measured time by model; empty if not asked for.
    """

    equal_steps: tuple[AblationRow, ...]
    equal_time: tuple[AblationRow, ...]
    seconds_per_step: dict[str, float]


def run(settings: AblationsSettings, passed: Sequence[str] = ()) -> Ablations:
    """Trains the models that are not trained yet, and returns the tables.

    Args:
      settings: the models, seeds and steps.
      passed: more flags for biva_tf.train.

    Raises:
      SpecError: there is no such BIVA.
      SettingsError: no seed is given, or a flag cannot be passed.
      TrainingError: a training run failed.
      UserError: a model cannot be scored as asked.
    """
    base = settings.architecture
    names = [base, f"{base}_lvae_plus", f"{base}_lvae"] + [f"{base}_vae"] * settings.vae
    for name in names:
        architectures.get(name)  # an unknown name raises an error now, not after hours of training
    sweep.check_some("seeds", settings.seeds)
    folder = Path(settings.output_dir)
    runs = Sweep(folder, sweep.SHORT_RUN, passed, sweep.SET_BY)
    equal_steps = [_row(settings, runs, name, settings.steps) for name in names]
    seconds, equal_time = {}, []
    if settings.equal_time:
        seconds = _seconds_per_step(settings, runs, names)
        longer = dataclasses.replace(runs, folder=folder / "equal_time")
        for name in names:
            steps = round(settings.steps * max(1.0, seconds[base] / seconds[name]))
            for seed in settings.seeds:
                _copy_run(runs.run_dir(_run(name, seed)), longer.run_dir(_run(name, seed)))
            equal_time.append(_row(settings, longer, name, steps))
    result = Ablations(tuple(equal_steps), tuple(equal_time), seconds)
    write_json(folder / "ablations.json", dataclasses.asdict(result))
    return result


def _run(name: str, seed: int) -> str:
    """The name of the folder of a run."""
    return f"{name}_seed{seed}"


def _row(settings: AblationsSettings, runs: Sweep, name: str, steps: int) -> AblationRow:
    """Trains a model with each seed if needed, and scores it."""
    results = []
    for seed in settings.seeds:
        own = {"architecture": name, "seed": seed, "steps": steps}
        results.append(_score(settings, runs.train(_run(name, seed), own), seed))
    return AblationRow(name, api.build(name).count_params(), tuple(results))


def _score(settings: AblationsSettings, run_dir: RunDir, seed: int) -> RunResult:
    summary = run_dir.read_summary()
    l_1, l_k, detections = None, None, {}
    if settings.iw_samples:
        scores = evaluate.run(
            evaluate.EvaluateSettings(
                model_dir=str(run_dir.path),
                iw_samples=settings.iw_samples,
                num_examples=settings.num_examples,
            )
        ).summary
        l_1, l_k = scores.l_1, scores.l_k
    if settings.out_dataset:
        detections = anomaly.run(
            anomaly.AnomalySettings(
                model_dir=str(run_dir.path),
                out_dataset=settings.out_dataset,
                iw_samples=settings.anomaly_samples,
                num_examples=settings.anomaly_examples,
                below=settings.below,
            )
        ).detections
    keras.backend.clear_session()
    return RunResult(
        seed, summary["step"], summary["elbo_nats"], summary["kl_nats"], l_1, l_k, detections
    )


def _seconds_per_step(
    settings: AblationsSettings, runs: Sweep, names: list[str]
) -> dict[str, float]:
    _, of_run = runs.run_dir(_run(names[0], settings.seeds[0])).read()
    compute = Compute(of_run["conv"], of_run["precision"])
    batch = of_run["batch_size"]
    configs = {name: step_time.make_config(name, batch, compute) for name in names}
    return step_time.measured_once(runs.folder / "seconds_per_step.json", configs)


def _copy_run(source: RunDir, target: RunDir) -> None:
    """Copies a run, to be trained on, unless the copy is there already."""
    if not target.path.exists():
        part = target.path.with_name(f"{target.path.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source.path, part)
        part.rename(target.path)


def _lines(settings: AblationsSettings, result: Ablations) -> list[str]:
    lines = []
    for title, rows in (("equal steps", result.equal_steps), ("equal time", result.equal_time)):
        if rows:
            lines += [f"Test split, {title}; one number per seed:", *_table(settings, rows)]
            lines += _kl_table(rows)
            if settings.out_dataset:
                lines += _detection_table(settings.out_dataset, rows)
    return lines


def _table(settings: AblationsSettings, rows: tuple[AblationRow, ...]) -> list[str]:
    shape = architectures.get(rows[0].name).image_shape
    head = ["model", "parameters", "steps", "-ELBO, nats", "bits/dim"]
    if settings.iw_samples:
        head += ["-L_1, nats", f"-L_{settings.iw_samples}, nats"]
    lines = []
    for row in rows:
        elbos = [result.elbo_nats for result in row.results]
        bits = [objectives.bits_per_dim(elbo, shape) for elbo in elbos]
        line = [row.name, f"{row.parameters:,}", f"{row.results[0].step:,}"]
        line += [_each([-elbo for elbo in elbos], 2), _each(bits, 4)]
        if settings.iw_samples:
            line += [_each([-r.l_1.nats for r in row.results], 2)]
            line += [_each([-r.l_k.nats for r in row.results], 2)]
        lines.append(line)
    return sweep.table(head, lines)


def _each(values: Iterable[float], digits: int) -> str:
    """The values of all seeds in one cell."""
    return "; ".join(f"{value:.{digits}f}" for value in values)


def _kl_table(rows: tuple[AblationRow, ...]) -> list[str]:
    lines = []
    for row in rows:
        names = row.results[0].kl_nats
        kls = {name: np.mean([r.kl_nats[name] for r in row.results]) for name in names}
        lines.append([row.name, ", ".join(f"{n} {kl:.2f}" for n, kl in kls.items())])
    seeds = len(rows[0].results)
    title = f"KL(q||p) per latent, nats, mean of {seeds} seeds:"
    return [title, *sweep.table(["model", "KL"], lines, left=2)]


def _detection_table(out_dataset: str, rows: tuple[AblationRow, ...]) -> list[str]:
    lines = []
    for measure in (field.name for field in dataclasses.fields(Detection)):
        lines.append(f"{measure.upper()} of {out_dataset} by each score, for each seed:")
        cells = [
            [row.name, name, _each((getattr(r.detections[name], measure) for r in row.results), 4)]
            for row in rows
            for name in row.results[0].detections
        ]
        lines += sweep.table(["model", "score", measure.upper()], cells, left=2)
    return lines


def _print(settings: AblationsSettings, passed: list[str]) -> None:
    result = run(settings, passed)
    sweep.show(_lines(settings, result), dataclasses.asdict(result))


if __name__ == "__main__":
    start("ablations", AblationsSettings, _print, passes_arguments=True)
