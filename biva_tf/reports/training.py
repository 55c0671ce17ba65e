"""The training of a run: its summary, its curves and its settings."""

from typing import Any

from biva_tf.model.spec import ModelSpec
from biva_tf.plotting import curves, figures
from biva_tf.plotting.document import Gallery, Picture, Section, SectionPart, Table

MetricLines = dict[str, list[dict[str, Any]]]  # by split, the lines of metrics

_FIGURES = {
    "learning_curves": ("Learning curves", "-ELBO of every split over training, in nats"),
    "log_kl": ("KL per latent", "KL(q||p) of each latent over training, logarithmic, in nats"),
    "kl": ("KL at the last evaluation", "KL(q||p) of each latent as bars, in nats"),
}


def summary(
    settings: dict[str, Any],
    spec: ModelSpec,
    parameters: int,
    weights_step: int | None,
    result: dict[str, Any] | None,
    metrics: MetricLines,
) -> Section:
    """The model, its data, and the progress of its training.

    Args:
      settings: the run's settings.
      spec: the model's spec.
      parameters: their number.
      weights_step: the step of the selected weights; None if there are none yet.
      result: the content of summary.json; None before the end of the run.
      metrics: empty if there are none.
    """
    rows = [
        ("architecture", settings["architecture"]),
        ("levels", str(spec.num_levels)),
        ("latents", str(len(spec.latents))),
        ("parameters", f"{parameters:,}"),
        ("data set", settings["dataset"]),
        ("weights of step", "none yet" if weights_step is None else f"{weights_step:,}"),
    ]
    if result is not None:
        rows.append(("training steps", f"{result['step']:,}"))
        rows.append((f"{result['split']} -ELBO", _bound(result["elbo_nats"], result)))
    elif metrics:
        steps = max(lines[-1]["step"] for lines in metrics.values())
        rows.append(("training steps logged", f"{steps:,}"))
        last = metrics.get("validation", metrics["train"])[-1]
        bound = f"{_bound(last['elbo'], last)}, step {last['step']:,}"
        rows.append((f"{last['split']} -ELBO", bound))
    return Section("Summary", (Table("The run", (), tuple(rows)),))


def _bound(elbo: float, values: dict[str, Any]) -> str:
    text = f"{-elbo:.3f} nats"
    if values.get("perplexity") is not None:
        return f"{text}, perplexity {values['perplexity']:.2f} per token"
    return f"{text}, {values['bits_per_dim']:.4f} bits/dim"


def learning(metrics: MetricLines, spec: ModelSpec) -> Section:
    """The curves of a training, and every metric in a picture of its own."""
    latents = list(spec.kl_names)
    drawn = curves.draw(metrics, latents)
    parts: list[SectionPart] = [
        Picture(figures.png(drawn[name]), alt, caption) for name, (caption, alt) in _FIGURES.items()
    ]
    others = [
        Picture(figures.png(figure), f"{name} over training")
        for name, figure in curves.draw_each(metrics).items()
    ]
    return Section("Training", (*parts, Gallery(tuple(others))))


def all_settings(settings: dict[str, Any]) -> Section:
    """The settings of a run."""
    rows = tuple(
        (name, "-" if value is None or value == "" else str(value))
        for name, value in settings.items()
    )
    return Section("Settings", (Table("All settings of the run", ("name", "value"), rows),))
