"""Detects images of another data set by L^{>k}:

    python -m biva_tf.anomaly --pretrained=mnist_10k_small --out_dataset=letters_2k

Scores both test splits with L^{>k} (paper, eq. 2) and LLR^{>k} = L - L^{>k}, and with the
importance-weighted forms of both, L_K^{>k} and LLR_K^{>k} = L_K - L_K^{>k} (Havtorn et al. 2021).
Prints a table in the form of the paper's Table 5, and how well each score detects the second data
set: AUROC, AUPRC and FPR80. The whole result, and a figure in the form of Figure 4, are in
MODEL_DIR/evaluations/.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from biva_tf import extras
from biva_tf.commands.scoring import ScoringSettings
from biva_tf.commands.start import start
from biva_tf.model.spec import ModelSpec
from biva_tf.settings import required, setting

if TYPE_CHECKING:
    from biva_tf.evaluation.detection import Detection
    from biva_tf.evaluation.records import Means


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnomalySettings(ScoringSettings):
    """The settings of `python -m biva_tf.anomaly`."""

    in_dataset: str | None = setting(None, "The data set that the model knows; by default its own.")
    out_dataset: str = required("The other data set.")


ScoresByK = dict[int, tuple[np.ndarray, np.ndarray]]  # by k: L^{>k} of the two data sets, nats


@dataclasses.dataclass(frozen=True)
class Anomalies:
    """The scores of two data sets, and how well they tell them apart.

    Attributes:
      names: the names of the data set that the model knows, and of the other.
      scores: by k, highest first: L^{>k} of the two, nats.
      bounds: as `scores`, of L_K^{>k}; empty if K = 1, where they are the scores.
      detections: by the name of the score. The other data set's examples are the positives.
      spec: the model's spec.
      weights_step: the step that the weights are from.
      path: the JSON file with the whole result; the figure is beside it.
    """

    names: tuple[str, str]
    scores: ScoresByK
    bounds: ScoresByK
    detections: dict[str, Detection]
    spec: ModelSpec
    weights_step: int
    path: Path


def run(settings: AnomalySettings) -> Anomalies:
    """Scores the test splits of two data sets.

    Raises:
      UserError: the run, a data set or a setting does not fit; the message says why.
    """
    extras.require("anomaly", "sklearn", "matplotlib", "scipy")
    from biva_tf.evaluation import records
    from biva_tf.evaluation.evaluator import Evaluator
    from biva_tf.evaluation.records import AnomalyRecord
    from biva_tf.evaluation.summary import lower_is_better
    from biva_tf.plotting import figures

    model = settings.load()
    spec = model.spec
    ks = _default_ks(spec) if settings.k is None else settings.k
    config = settings.scoring_config(ks, bounds=False)
    folder = settings.results_dir.evaluations
    evaluator = Evaluator(model, config, settings.max_rows, folder)
    names = (settings.in_dataset or model.training.dataset, settings.out_dataset)
    images = [
        settings.first_examples(model.images(name, data_dir=settings.data_dir), f"{name} test")
        for name in names
    ]
    own, other = (
        evaluator.scores(split, f"{name} test").examples
        for name, split in zip(names, images, strict=True)
    )
    ks = tuple(sorted({0, *config.ks}, reverse=True))
    scores: ScoresByK = {k: (own[f"above_{k}"], other[f"above_{k}"]) for k in ks}
    bounds: ScoresByK = {}
    if config.iw_samples > 1:
        bounds = {k: (own[f"bound_above_{k}"], other[f"bound_above_{k}"]) for k in ks}
    detections = _detections(scores, "L", "LLR")
    detections |= _detections(bounds, f"L_{config.iw_samples}", f"LLR_{config.iw_samples}")
    path = evaluator.path(f"{names[0]} against {names[1]}", *images).with_suffix(".json")
    anomalies = Anomalies(
        names, scores, bounds, detections, spec, model.training.weights_step, path
    )
    factor, unit = lower_is_better(spec)
    figure = figures.histograms(
        {k: (factor * a, factor * b) for k, (a, b) in scores.items()}, names, unit
    )
    figures.write(path.with_suffix(".png"), figure)
    record = AnomalyRecord(
        *names,
        (len(images[0]), len(images[1])),
        model.training.weights_step,
        config,
        _means(scores, spec),
        _means(bounds, spec),
        detections,
    )
    records.write(path, record)
    return anomalies


def _means(scores: ScoresByK, spec: ModelSpec) -> Means:
    from biva_tf.evaluation.summary import mean_of

    return {k: (mean_of(a, spec), mean_of(b, spec)) for k, (a, b) in scores.items()}


def _default_ks(spec: ModelSpec) -> tuple[int, ...]:
    """Every k of a small model; of a deep one those of Table 5."""
    levels = spec.num_levels
    return tuple(range(levels)) if levels <= 6 else (levels - 2, levels - 4, levels - 6, 0)


def _detections(scores: ScoresByK, bound: str, ratio: str) -> dict[str, Detection]:
    """The detection by each score, by its name. A higher score is more anomalous.

    Args:
      scores: L^{>k}, or its importance-weighted form.
      bound, ratio: the names of the bound and of the ratio, without their k.
    """
    from biva_tf.evaluation.detection import detect
    from biva_tf.inference import objectives

    detections = {}
    for k, (inliers, outliers) in scores.items():
        detections[f"-{bound}^{{>{k}}}"] = detect(-inliers, -outliers)
    for k, pair in scores.items():
        if k:
            llr = map(objectives.likelihood_ratio, scores[0], pair)
            detections[f"{ratio}^{{>{k}}}"] = detect(*llr)
    return detections


def _table(names: tuple[str, str], scores: ScoresByK, bound: str, factor: float) -> list[str]:
    """The mean of -L^{>k} in the form of Table 5: highest k first, lower is better."""
    if not scores:
        return []
    lines = [" " * 16 + "".join(f"{f'{bound}^{{>{k}}}':>12}" for k in scores)]
    for i, name in enumerate(names):
        means = [factor * pair[i].mean() for pair in scores.values()]
        lines.append(f"{name:<16}" + "".join(f"{mean:>12.2f}" for mean in means))
    return lines


def _print(settings: AnomalySettings) -> None:
    from biva_tf.evaluation.summary import lower_is_better

    anomalies = run(settings)
    factor, unit = lower_is_better(anomalies.spec)
    print(
        f"-L^{{>k}} in {unit}, latents <= k: prior {settings.below}, weights of step "
        f"{anomalies.weights_step} ({anomalies.path}, .png):"
    )
    for bound, scores in ("L", anomalies.scores), (f"L_{settings.iw_samples}", anomalies.bounds):
        for line in _table(anomalies.names, scores, bound, factor):
            print(f"  {line}")
    print(f"  {anomalies.names[1]} (positive) against {anomalies.names[0]}:")
    print(f"  {'score':<16}{'AUROC':>12}{'AUPRC':>12}{'FPR80':>12}")
    for name, d in anomalies.detections.items():
        print(f"  {name:<16}{d.auroc:>12.4f}{d.auprc:>12.4f}{d.fpr80:>12.4f}")
    print(json.dumps({name: d.auroc for name, d in anomalies.detections.items()}))


def main() -> None:
    """Runs the command with the flags that it was given."""
    start("anomaly", AnomalySettings, _print, sets_devices_up=True)


if __name__ == "__main__":
    main()
