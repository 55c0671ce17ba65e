"""Trains a BIVA with each option of a model or an objective, at equal time, and prints a table:

    python -m tools.experiments.options --output_dir=runs/options -- --dataset=fashion_mnist

The plain model trains for --steps. A model with an option trains for as long, by the measured time
of a step: for fewer steps if its steps take longer. biva_tf.train also gets any flags that follow
`--` (`tools.experiments.sweep`). Finished trainings are not done again, and interrupted ones are
resumed.

The results are those of the test split, with the weights that were selected on the validation
split. All of them are also in the JSON object of the last line and in OUTPUT_DIR/options.json.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from biva_tf import api
from biva_tf.commands.start import start
from biva_tf.errors import SettingsError
from biva_tf.files import write_atomically, write_json
from biva_tf.model import architectures
from biva_tf.model.block_specs import AttentionSpec
from biva_tf.model.priors import GaussianPrior, VampPrior
from biva_tf.model.spec import ModelSpec
from biva_tf.settings import Settings, required, setting
from tools.bench import step_time
from tools.experiments import sweep
from tools.experiments.sweep import Sweep


@dataclasses.dataclass(frozen=True)
class Option:
    """What an option changes.

    Attributes:
      spec: the spec with the option, from that without.
      flags: flags of biva_tf.train.
    """

    spec: Callable[[ModelSpec], ModelSpec] = lambda spec: spec
    flags: Mapping[str, object] = dataclasses.field(default_factory=dict)


def _with(**changes) -> Callable[[ModelSpec], ModelSpec]:
    return lambda spec: dataclasses.replace(spec, **changes)


def _attention(spec: ModelSpec) -> ModelSpec:
    """The spec with attention in the last block of the top level, whose map is the smallest."""
    top = spec.stages[-1]
    block = AttentionSpec(**dataclasses.asdict(top.blocks[-1]))
    top = dataclasses.replace(top, blocks=(*top.blocks[:-1], block))
    return dataclasses.replace(spec, stages=(*spec.stages[:-1], top))


PLAIN = "plain"
OPTIONS = {
    PLAIN: Option(),
    "residual_posterior": Option(_with(posterior="residual")),
    "gaussian_top": Option(_with(top_prior=GaussianPrior())),
    "vamp_top": Option(_with(top_prior=VampPrior())),
    "attention": Option(_attention),
    "analytic_kl": Option(flags={"kl": "analytic"}),
    "free": Option(_with(log_variance="free")),
    "free_floor": Option(_with(log_variance="free", log_variance_floor=-6.0)),
}


@dataclasses.dataclass(frozen=True)
class OptionsSettings(Settings):
    """The settings of `python -m tools.experiments.options`."""

    output_dir: str = required("The folder of the runs.")
    architecture: str = setting("small_l5", "The BIVA that gets the options.")
    options: tuple[str, ...] = setting(tuple(OPTIONS), "The options to compare.")
    steps: int = setting(3000, "Training steps of the plain model.", lower=1)
    seeds: tuple[int, ...] = setting(
        (0, 1), "Seeds; every model is trained once with each.", lower=0
    )


@dataclasses.dataclass(frozen=True)
class OptionRow:
    """A row of the table; what is a tuple has one entry for each seed.

    Attributes:
      name: the option.
      parameters: the model's number of parameters.
      seconds_per_step: the measured time.
      steps: the number of training steps.
      elbo_nats: the mean ELBO of the test split, with one sample per image.
      kl_nats: KL(q||p) by latent, the mean over the seeds.
    """

    name: str
    parameters: int
    seconds_per_step: float
    steps: int
    elbo_nats: tuple[float, ...]
    kl_nats: dict[str, float]


def run(settings: OptionsSettings, passed: Sequence[str] = ()) -> tuple[OptionRow, ...]:
    """Trains what is not trained yet, and returns the rows of the table.

    Args:
      settings: the models, seeds and steps.
      passed: more flags for biva_tf.train.

    Raises:
      SpecError: there is no such BIVA.
      SettingsError: no seed or an unknown option is given, or a flag cannot be passed.
      TrainingError: a training run failed.
    """
    base = architectures.get(settings.architecture)
    sweep.check_some("seeds", settings.seeds)
    sweep.check_some("options", settings.options, OPTIONS)
    if settings.options[0] != PLAIN:
        expected = f"--options: expected {PLAIN} first, since the times are its, got "
        raise SettingsError(expected + settings.options[0])
    runs = Sweep(Path(settings.output_dir), sweep.SHORT_RUN, passed, sweep.SET_BY)
    runs.folder.mkdir(parents=True, exist_ok=True)
    own = {}
    for name in settings.options:
        option, path = OPTIONS[name], runs.folder / f"{name}.json"
        write_atomically(path, option.spec(base).to_json().encode())
        own[name] = {"architecture": str(path), "steps": settings.steps, **option.flags}
    configs = {name: runs.config(name, own[name]) for name in settings.options}
    seconds = step_time.measured_once(runs.folder / "seconds_per_step.json", configs)
    rows = []
    for name in settings.options:
        steps = max(1, round(settings.steps * seconds[PLAIN] / seconds[name]))
        summaries = [
            runs.train(
                f"{name}_seed{seed}", {**own[name], "steps": steps, "seed": seed}
            ).read_summary()
            for seed in settings.seeds
        ]
        kls = [summary["kl_nats"] for summary in summaries]
        row = OptionRow(
            name=name,
            parameters=api.build(architectures.read(own[name]["architecture"])).count_params(),
            seconds_per_step=seconds[name],
            steps=steps,
            elbo_nats=tuple(summary["elbo_nats"] for summary in summaries),
            kl_nats={latent: float(np.mean([kl[latent] for kl in kls])) for latent in kls[0]},
        )
        rows.append(row)
    write_json(runs.folder / "options.json", [dataclasses.asdict(row) for row in rows])
    return tuple(rows)


def _lines(rows: Sequence[OptionRow]) -> list[str]:
    plain = next(row for row in rows if row.name == PLAIN)
    head = ["option", "parameters", "s/step", "steps", "-ELBO, nats, by seed", "mean", "gain"]
    cells = []
    for row in rows:
        mean = float(np.mean(row.elbo_nats))
        cells.append(
            [
                row.name,
                f"{row.parameters:,}",
                f"{row.seconds_per_step:.3f}",
                f"{row.steps:,}",
                "; ".join(f"{-elbo:.2f}" for elbo in row.elbo_nats),
                f"{-mean:.2f}",
                f"{mean - float(np.mean(plain.elbo_nats)):+.2f}",
            ]
        )
    kls = [
        [row.name, ", ".join(f"{name} {kl:.2f}" for name, kl in row.kl_nats.items())]
        for row in rows
    ]
    return [
        "Test split, equal time:",
        *sweep.table(head, cells),
        "KL(q||p) per latent, nats, mean of the seeds:",
        *sweep.table(["option", "KL"], kls, left=2),
    ]


def _print(settings: OptionsSettings, passed: list[str]) -> None:
    rows = run(settings, passed)
    sweep.show(_lines(rows), {"rows": [dataclasses.asdict(row) for row in rows]})


if __name__ == "__main__":
    start("options", OptionsSettings, _print, passes_arguments=True)
