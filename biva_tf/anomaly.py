"""Tells one data set from another by L^{>k}:

    python -m biva_tf.anomaly --model_dir=runs/mnist_sample --out_dataset=letters_2k

Scores both test splits with L^{>k} (paper, eq. 2) and LLR^{>k} = L - L^{>k}. Prints a table in the
form of the paper's Table 5 and how well each score detects the second data set: AUROC, AUPRC and
FPR80. The whole result, and a figure in the form of Figure 4, are in MODEL_DIR/evaluations/.
"""

import dataclasses
import json

import numpy as np
from absl import flags

from biva_tf import api, command, evaluation, figures, objectives
from biva_tf.detection import Detection, detect
from biva_tf.run_dir import RunDir, write_json
from biva_tf.spec import ModelSpec

_IN_DATASET = flags.DEFINE_string(
    "in_dataset", None, "The data set that the model knows; by default its own."
)
_OUT_DATASET = flags.DEFINE_string("out_dataset", None, "The other data set.", required=True)
command.define_scoring_flags(k=None)

Scores = dict[int, tuple[np.ndarray, np.ndarray]]  # by k, of the two data sets: L^{>k} in nats


def _lower_is_better(spec: ModelSpec) -> tuple[float, str]:
    """What takes a bound in nats to the paper's unit: -log p for binary images, else bits/dim."""
    if spec.likelihood == "bernoulli":
        return -1.0, "nats"
    return objectives.bits_per_dim(1.0, spec.image_shape), "bits/dim"


def _default_ks(spec: ModelSpec) -> list[str]:
    """Every k of a small model; of a deep one, as in Table 5."""
    levels = spec.num_levels
    ks = range(levels) if levels <= 6 else (levels - 2, levels - 4, levels - 6, 0)
    return [str(k) for k in ks]


def _detections(scores: Scores) -> dict[str, Detection]:
    """By the name of the score; higher is more anomalous."""
    found = {}
    for k, (inliers, outliers) in scores.items():
        found[f"-L^{{>{k}}}"] = detect(-inliers, -outliers)
    for k, pair in scores.items():
        if k:
            llr = [elbo - above for elbo, above in zip(scores[0], pair, strict=True)]
            found[f"LLR^{{>{k}}}"] = detect(*llr)
    return found


def _table(names: tuple[str, str], scores: Scores, factor: float) -> list[str]:
    """In the form of Table 5: the mean of -L^{>k}, highest k first, lower is better."""
    lines = [" " * 16 + "".join(f"{f'L^{{>{k}}}':>12}" for k in scores)]
    for i, name in enumerate(names):
        means = [factor * pair[i].mean() for pair in scores.values()]
        lines.append(f"{name:<16}" + "".join(f"{mean:>12.2f}" for mean in means))
    return lines


def _main() -> None:
    trained = api.load_trained(command.model_dir())
    spec = trained.model.spec
    settings = command.scoring_settings(0, _default_ks(spec) if flags.FLAGS.k is None else None)
    folder = RunDir(command.model_dir()).evaluations
    evaluator = evaluation.Evaluator(trained.model, settings, flags.FLAGS.max_rows, folder)
    names = (_IN_DATASET.value or trained.settings["dataset"], _OUT_DATASET.value)
    images = [
        command.first_examples(trained.images(name, data_dir=flags.FLAGS.data_dir), f"{name} test")
        for name in names
    ]
    results = [
        evaluator.scores(of_one, f"{name} test").examples
        for name, of_one in zip(names, images, strict=True)
    ]
    ks = sorted({0, *settings.ks}, reverse=True)
    scores: Scores = {k: tuple(values[f"above_{k}"] for values in results) for k in ks}
    factor, unit = _lower_is_better(spec)
    detections = _detections(scores)

    path = evaluator.path(f"{names[0]} against {names[1]}", *images)
    whole = {
        "in_dataset": names[0],
        "out_dataset": names[1],
        "examples": [len(of_one) for of_one in images],
        "weights_step": trained.weights_step,
        "settings": dataclasses.asdict(settings),
        "L_above": {
            k: [dataclasses.asdict(evaluation.mean_of(values, spec)) for values in pair]
            for k, pair in scores.items()
        },
        "detection": {name: dataclasses.asdict(d) for name, d in detections.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    figure = figures.histograms(
        {k: tuple(factor * values for values in pair) for k, pair in scores.items()}, names, unit
    )
    figures.write(path.with_suffix(".png"), figure)
    write_json(path.with_suffix(".json"), whole)

    print(
        f"-L^{{>k}} in {unit}, latents <= k: prior {settings.below}, weights of step "
        f"{trained.weights_step} ({path.with_suffix('.json')}, .png):"
    )
    for line in _table(names, scores, factor):
        print(f"  {line}")
    print(f"  {names[1]} (positive) against {names[0]}:")
    print(f"  {'score':<16}{'AUROC':>12}{'AUPRC':>12}{'FPR80':>12}")
    for name, d in detections.items():
        print(f"  {name:<16}{d.auroc:>12.4f}{d.auprc:>12.4f}{d.fpr80:>12.4f}")
    print(json.dumps({name: d.auroc for name, d in detections.items()}))


if __name__ == "__main__":
    command.start("anomaly", _main)
