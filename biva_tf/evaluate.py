"""Evaluates a trained model: python -m biva_tf.evaluate --model_dir=runs/mnist_sample

L_1, L_K with its standard error over the examples, both in nats and bits/dim, or of text the
perplexity per token; reconstruction, KL and active units of each latent; the effective sample size
of the importance weights; and with --k the anomaly scores L^{>k} and LLR^{>k}. Prints a table and,
on the last line, one JSON object. The whole result is in MODEL_DIR/evaluations/. If it is
interrupted, the same command resumes it.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biva_tf.choices import KLS
from biva_tf.commands.outputs import check_file
from biva_tf.commands.scoring import ScoringSettings
from biva_tf.commands.start import start
from biva_tf.data import pipeline
from biva_tf.errors import SettingsError
from biva_tf.evaluation import columns
from biva_tf.files import write_atomically
from biva_tf.model.observed import Observation
from biva_tf.settings import setting

if TYPE_CHECKING:
    from biva_tf.evaluation.resumable import Results
    from biva_tf.evaluation.summary import EvaluationSummary, Mean


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateSettings(ScoringSettings):
    """The settings of `python -m biva_tf.evaluate`."""

    iw_samples: int = setting(
        1000,
        "Importance samples per image: K of L_K, and the samples whose mean is L^{>k}.",
        lower=1,
    )
    kl: str = setting(
        "sampled",
        "The KL of a latent is the mean of log q - log p at the draws; with analytic also that of "
        "KL(q||p) in closed form, of the same draws. The bounds have the sampled one.",
        choices=KLS,
    )
    split: str = setting("test", "The split.", choices=pipeline.SPLITS)
    dataset: str | None = setting(None, "Another data set than the model was trained on.")
    scores: str | None = setting(
        None, "Also write the scores of every example to this .csv or .npz file.", path=True
    )

    def __post_init__(self):
        super().__post_init__()
        if self.scores and Path(self.scores).suffix not in (".csv", ".npz"):
            raise SettingsError(f"--scores: expected a .csv or .npz file, got {self.scores!r}")

    def check_files(self) -> None:
        """Raises UserError if there is no model, or the scores cannot be written."""
        super().check_files()
        if self.scores:
            check_file("scores", self.scores)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
      name: the name of the data set and its split.
      weights_step: the step that the weights are from.
      summary: the reported numbers.
      path: the JSON file with the whole result.
      x: what the examples are.
    """

    name: str
    weights_step: int
    summary: EvaluationSummary
    path: Path
    x: Observation


def run(settings: EvaluateSettings) -> Evaluation:
    """Evaluates a trained model on a split.

    Raises:
      UserError: the run, the data set or a setting does not fit; the message says why.
    """
    from biva_tf.evaluation import records
    from biva_tf.evaluation.evaluator import Evaluator
    from biva_tf.evaluation.records import EvaluationRecord
    from biva_tf.evaluation.summary import summarise

    model = settings.load()
    spec = model.spec
    config = settings.scoring_config(settings.k or (), bounds=True)
    folder = settings.results_dir.evaluations
    evaluator = Evaluator(
        model, config, settings.max_rows, folder, with_closed_kl=settings.kl == "analytic"
    )
    dataset = settings.dataset or model.training.dataset
    name = f"{dataset} {settings.split}"
    images = model.images(dataset, settings.split, settings.data_dir)
    images = settings.first_examples(images, name)
    results = evaluator.scores(images, name)
    summary = summarise(results, config, spec, images.tokens)
    path = evaluator.path(name, images).with_suffix(".json")
    record = EvaluationRecord(dataset, settings.split, model.training.weights_step, config, summary)
    records.write(path, record)
    if settings.scores:
        _write_scores(Path(settings.scores), _columns(results, spec.kl_names, config.ks))
    return Evaluation(name, model.training.weights_step, summary, path, spec.likelihood.x)


def _table(summary: EvaluationSummary, iw_samples: int, below: str) -> list[str]:
    lines = [f"{'':<16}{'nats':>24}" + (f"{'bits/dim':>26}" if summary.in_bits else "")]

    def mean(name: str, m: Mean):
        nats, bits = f"{m.nats:.3f}", f"{m.bits_per_dim:.4f}"
        if m.nats_standard_error is not None:
            nats += f" ± {m.nats_standard_error:.3f}"
            bits += f" ± {m.bits_per_dim_standard_error:.4f}"
        lines.append(f"{name:<16}{nats:>24}" + (f"{bits:>26}" if summary.in_bits else ""))

    mean("L_1", summary.l_1)
    mean(f"L_{iw_samples}", summary.l_k)
    if summary.perplexity is not None:
        lines.append(f"{'perplexity':<16}{summary.perplexity:>24.2f} per token, by L_{iw_samples}")
    for k, m in summary.above.items():
        mean(f"L^{{>{k}}} ({below})", m)
    for k, m in summary.llr.items():
        mean(f"LLR^{{>{k}}}", m)
    lines.append(f"{'reconstruction':<16}{summary.reconstruction_nats:>24.3f}")
    closed = any(z.closed_kl_nats is not None for z in summary.latents)
    more = f"{'KL, closed form':>20}" if closed else ""
    lines.append(f"{'latent':<16}{'KL(q||p), nats':>24}{'active units':>26}{more}")
    for z in summary.latents:
        active = "-" if z.active_units is None else f"{z.active_units} of {z.units}"
        more = "" if z.closed_kl_nats is None else f"{z.closed_kl_nats:>20.3f}"
        lines.append(f"{z.name:<16}{z.kl_nats:>24.3f}{active:>26}{more}")
    if summary.kl_y_nats is not None:
        lines.append(f"{'y':<16}{summary.kl_y_nats:>24.3f}")
    average, median, least = summary.effective_sample_size
    lines.append(
        f"effective sample size of {iw_samples}: mean {average:.1f}, median {median:.1f}, "
        f"least {least:.1f}"
    )
    return lines


def _columns(results: Results, names: tuple[str, ...], ks) -> dict[str, np.ndarray]:
    from biva_tf.inference import objectives

    values = results.examples
    return {
        "example": np.arange(results.done),
        **columns.scores(
            values["bound"],
            values["elbo"],
            values["reconstruction"],
            values["kl"],
            names,
            {k: values[f"above_{k}"] for k in ks},
            {
                k: objectives.likelihood_ratio(values["above_0"], values[f"above_{k}"])
                for k in ks
                if k
            },
        ),
        "effective_sample_size": values["effective_sample_size"],
    }


def _write_scores(path: Path, table: dict[str, Any]) -> None:
    content = io.BytesIO()
    if path.suffix == ".npz":
        np.savez_compressed(content, **table)
    else:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*(column.tolist() for column in table.values()), strict=True))
        content.write(text.getvalue().encode())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def _print(settings: EvaluateSettings) -> None:
    result = run(settings)
    summary = result.summary
    print(
        f"{result.name}, {summary.examples} {result.x.plural}, weights of step "
        f"{result.weights_step} ({result.path}):"
    )
    for line in _table(summary, settings.iw_samples, settings.below):
        print(f"  {line}")
    last = {
        "examples": summary.examples,
        "iw_samples": settings.iw_samples,
        "l_1_nats": summary.l_1.nats,
        "l_k_nats": summary.l_k.nats,
        "l_k_nats_standard_error": summary.l_k.nats_standard_error,
    }
    if summary.perplexity is None:
        last["l_1_bits_per_dim"] = summary.l_1.bits_per_dim
        last["l_k_bits_per_dim"] = summary.l_k.bits_per_dim
    else:
        last["perplexity"] = summary.perplexity
    print(json.dumps(last))


def main() -> None:
    """Runs the command with the flags that it was given."""
    start("evaluate", EvaluateSettings, _print, sets_devices_up=True)


if __name__ == "__main__":
    main()
