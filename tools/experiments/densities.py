"""Trains VAE, LVAE and BIVA on densities over the plane, and compares them with the true ones:

    python -m tools.experiments.densities --output_dir=runs/densities

For each density and model, the KL divergence KL(p || model) is bounded: by -L_K less the entropy of
p. It is computed as the mean of log p(x) - L_K(x) over test points x, which has the same expected
value and a smaller standard error. densities.json has the numbers, densities.png the pictures: the
true density, and for each model exp(L_K) on a grid and samples. Finished trainings are not done
again, and interrupted ones are resumed. The last line is the JSON object of densities.json.
"""

import concurrent.futures
import dataclasses
import math
from pathlib import Path

import keras
import numpy as np

from biva_tf import api, evaluate
from biva_tf.commands.start import start
from biva_tf.data.densities import DENSITIES, Density
from biva_tf.data.densities.density import midpoints
from biva_tf.data.points import as_images
from biva_tf.files import write_json
from biva_tf.plotting import figures
from biva_tf.plotting.densities import Drawn, comparison
from biva_tf.plotting.drawers import drawer
from biva_tf.settings import Settings, required, setting
from tools.experiments import sweep
from tools.experiments.sweep import Sweep

MODELS = {"VAE": "density_2d_vae", "LVAE": "density_2d_lvae", "BIVA": "density_2d"}
POTENTIALS = ("potential_1", "potential_2", "potential_3", "potential_4")

_AT_ONCE = 2  # trainings, each in one thread
_MAX_ROWS = 16_384  # of points and importance samples in memory
# Chosen on potentials 2 to 4. The learning rate rises in 500 steps and falls to this share: with
# twice the rate some trainings diverge, as the variance of x is free and the KL weight still small.
_BATCH, _LEARNING_RATE, _LEARNING_RATE_WARMUP, _LAST_SHARE = 512, 0.01, 500, 0.02
_CLIP_NORM, _SKIP_NORM = 10, 1e5  # a step with a non-finite norm is skipped, too
_KL_WARMUP = 800  # steps; the KL weight rises slowly, or upper latents would stay unused


@dataclasses.dataclass(frozen=True)
class DensitiesSettings(Settings):
    """The settings of `python -m tools.experiments.densities`."""

    output_dir: str = required("The folder of the runs, of densities.json and of densities.png.")
    densities: tuple[str, ...] = setting(
        POTENTIALS, f"The densities, some of {', '.join(DENSITIES)}."
    )
    steps: int = setting(6000, "Training steps of every model.", lower=1)
    seed: int = setting(0, "Seed of the trainings.", lower=0)
    iw_samples: int = setting(1000, "K of the L_K of the test points.", lower=1)
    num_examples: int = setting(1000, "The test points.", lower=2)
    grid: int = setting(80, "The picture shows L_K at this many points along each axis.", lower=2)
    grid_iw_samples: int = setting(100, "K of the L_K of the picture.", lower=1)


@dataclasses.dataclass(frozen=True)
class DensityRow:
    """A model of a density. All numbers are in nats, means over the test points.

    Attributes:
      density, model: the names of the density and of the model.
      entropy: the entropy of the density.
      bound, bound_standard_error: L_K and its standard error.
      kl, kl_standard_error: log p(x) - L_K(x): at least KL(p || model), up to the error.
      kl_of_elbo: the same with L_1.
    """

    density: str
    model: str
    entropy: float
    bound: float
    bound_standard_error: float
    kl: float
    kl_standard_error: float
    kl_of_elbo: float


@dataclasses.dataclass(frozen=True)
class DensityComparison:
    """The result: a row for each density and model, and the picture."""

    rows: tuple[DensityRow, ...]
    figure: Path


def run(settings: DensitiesSettings) -> DensityComparison:
    """Trains the models that are not trained yet, scores them, and draws the figure.

    Raises:
      SettingsError: there is no density of that name.
      TrainingError: a training run failed.
    """
    sweep.check_some("densities", settings.densities, DENSITIES)
    runs = Sweep(Path(settings.output_dir), one_thread=True)
    pairs = [(density, model) for density in settings.densities for model in MODELS]
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda pair: _train(settings, runs, *pair), pairs))
    rows = [_score(settings, runs, *pair) for pair in pairs]
    drawn = {name: _draw(settings, runs, name) for name in settings.densities}
    figure = runs.folder / "densities.png"
    figures.write(figure, comparison(drawn))
    write_json(runs.folder / "densities.json", sweep.plain(rows))
    return DensityComparison(tuple(rows), figure)


def _run(density: str, model: str) -> str:
    """The name of the folder of a run."""
    return f"{density}_{model.lower()}"


def _train(settings: DensitiesSettings, runs: Sweep, density: str, model: str) -> None:
    every = max(1, settings.steps // 10)
    own = {
        "architecture": MODELS[model],
        "dataset": density,
        "steps": settings.steps,
        "seed": settings.seed,
        "batch_size": _BATCH,
        "free_bits": 0,
        "kl_warmup_steps": min(_KL_WARMUP, settings.steps // 3),
        "learning_rate": _LEARNING_RATE,
        "learning_rate_warmup_steps": min(_LEARNING_RATE_WARMUP, settings.steps // 3),
        "learning_rate_decay": _LAST_SHARE ** (1 / settings.steps),
        "ema_decay": 0.995,
        "clip_norm": _CLIP_NORM,
        "skip_gradient_norm": _SKIP_NORM,
        "log_every": every,
        "eval_every": every,
        "checkpoint_every": every,
    }
    runs.train(_run(density, model), own)


def _score(settings: DensitiesSettings, runs: Sweep, density: str, model: str) -> DensityRow:
    model_dir = runs.run_dir(_run(density, model)).path
    scores = model_dir / "scores.npz"
    asked = evaluate.EvaluateSettings(
        model_dir=str(model_dir),
        iw_samples=settings.iw_samples,
        num_examples=settings.num_examples,
        max_rows=_MAX_ROWS,
        scores=str(scores),
    )
    points = asked.load().images().first(settings.num_examples)[:]
    evaluate.run(asked)
    with np.load(scores) as columns:
        bound, elbo = columns["L_K_nats"], columns["L_1_nats"]
    true = DENSITIES[density]
    log_p = true.log_prob(points.reshape(-1, 2).astype(np.float64))
    keras.backend.clear_session()
    return DensityRow(
        density=density,
        model=model,
        entropy=true.entropy,
        bound=float(bound.mean()),
        bound_standard_error=_standard_error(bound),
        kl=float((log_p - bound).mean()),
        kl_standard_error=_standard_error(log_p - bound),
        kl_of_elbo=float((log_p - elbo).mean()),
    )


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def _draw(settings: DensitiesSettings, runs: Sweep, name: str) -> Drawn:
    """The true density, and of each model exp(L_K) and samples."""
    density: Density = DENSITIES[name]
    points, _ = midpoints(density.box, settings.grid)
    maps, samples = {}, {}
    for model in MODELS:
        trained = api.load(runs.run_dir(_run(name, model)).path)
        result = trained.score(
            as_images(points),
            num_importance_samples=settings.grid_iw_samples,
            seed=0,
            max_rows=_MAX_ROWS,
        )
        maps[model] = np.exp(result.bound_nats).reshape(settings.grid, settings.grid)
        samples[model] = trained.sample(drawer(trained.spec).samples, seed=0).reshape(-1, 2)
        keras.backend.clear_session()
    true = np.exp(density.log_prob(points)).reshape(settings.grid, settings.grid)
    return Drawn(density.box, true, maps, samples)


def _print(settings: DensitiesSettings) -> None:
    result = run(settings)
    head = ["density", "model", "entropy", f"-L_{settings.iw_samples}", "KL, at most", "of L_1"]
    cells = [
        [
            row.density,
            row.model,
            f"{row.entropy:.3f}",
            sweep.plus_minus(-row.bound, row.bound_standard_error, 3),
            sweep.plus_minus(row.kl, row.kl_standard_error, 4),
            f"{row.kl_of_elbo:.3f}",
        ]
        for row in result.rows
    ]
    title = f"{settings.num_examples} test points, nats:"
    lines = [title, *sweep.table(head, cells, left=2), str(result.figure)]
    sweep.show(lines, sweep.plain(result.rows))


if __name__ == "__main__":
    start("densities", DensitiesSettings, _print)
