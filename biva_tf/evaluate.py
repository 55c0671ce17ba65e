"""Evaluates a trained model: python -m biva_tf.evaluate --model_dir=runs/mnist_sample

L_1, L_K with its standard error over the examples, both in nats and bits/dim; reconstruction, KL
and active units of each latent; the effective sample size of the importance weights; and with --k
the anomaly scores L^{>k} and LLR^{>k}. Prints a table and, on the last line, one JSON object; the
whole result is in MODEL_DIR/evaluations/. Interrupted, the same command goes on from there.
"""

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
from absl import flags

from biva_tf import api, command, evaluation
from biva_tf.data import pipeline
from biva_tf.errors import SettingsError
from biva_tf.evaluation import Mean, Summary
from biva_tf.run_dir import RunDir, write_atomically, write_json

_SPLIT = flags.DEFINE_enum("split", "test", pipeline.SPLITS, "The split.")
_DATASET = flags.DEFINE_string("dataset", None, "Another data set than the model was trained on.")
_IW_SAMPLES = flags.DEFINE_integer(
    "iw_samples", 1000, "K, the importance samples of L_K.", lower_bound=1
)
command.define_scoring_flags(k=[])
_SCORES = flags.DEFINE_string(
    "scores", None, "Also write the scores of every example to this .csv or .npz file."
)


def _table(summary: Summary, iw_samples: int, below: str) -> list[str]:
    lines = [f"{'':<16}{'nats':>24}{'bits/dim':>26}"]

    def mean(name: str, m: Mean):
        nats, bits = f"{m.nats:.3f}", f"{m.bits_per_dim:.4f}"
        if m.nats_standard_error is not None:
            nats += f" ± {m.nats_standard_error:.3f}"
            bits += f" ± {m.bits_per_dim_standard_error:.4f}"
        lines.append(f"{name:<16}{nats:>24}{bits:>26}")

    mean("L_1", summary.l_1)
    mean(f"L_{iw_samples}", summary.l_k)
    for k, m in summary.above.items():
        mean(f"L^{{>{k}}} ({below})", m)
    for k, m in summary.llr.items():
        mean(f"LLR^{{>{k}}}", m)
    lines.append(f"{'reconstruction':<16}{summary.reconstruction_nats:>24.3f}")
    lines.append(f"{'latent':<16}{'KL(q||p), nats':>24}{'active units':>26}")
    for z in summary.latents:
        active = "-" if z.active_units is None else f"{z.active_units} of {z.units}"
        lines.append(f"{z.name:<16}{z.kl_nats:>24.3f}{active:>26}")
    average, median, least = summary.effective_sample_size
    lines.append(
        f"effective sample size of {iw_samples}: mean {average:.1f}, median {median:.1f}, "
        f"least {least:.1f}"
    )
    return lines


def _columns(results, names: list[str], ks) -> dict[str, np.ndarray]:
    values = results.examples
    columns = {
        "example": np.arange(results.done),
        "L_1_nats": values["elbo"],
        "L_K_nats": values["bound"],
        "reconstruction_nats": values["reconstruction"],
        "effective_sample_size": values["effective_sample_size"],
    }
    columns |= {f"KL_{name}_nats": values["kl"][:, i] for i, name in enumerate(names)}
    columns |= {f"L_above_{k}_nats": values[f"above_{k}"] for k in ks}
    return columns | {
        f"LLR_above_{k}_nats": values["above_0"] - values[f"above_{k}"] for k in ks if k
    }


def _write_scores(path: Path, columns: dict[str, np.ndarray]) -> None:
    content = io.BytesIO()
    if path.suffix == ".npz":
        np.savez_compressed(content, **columns)
    else:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        content.write(text.getvalue().encode())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def _main() -> None:
    scores_path = Path(_SCORES.value) if _SCORES.value else None
    if scores_path and scores_path.suffix not in (".csv", ".npz"):
        raise SettingsError(f"--scores: expected a .csv or .npz file, got {_SCORES.value!r}")
    trained = api.load_trained(command.model_dir())
    spec = trained.model.spec
    settings = command.scoring_settings(iw_samples=_IW_SAMPLES.value)
    dataset = _DATASET.value or trained.settings["dataset"]
    folder = RunDir(command.model_dir()).evaluations
    evaluator = evaluation.Evaluator(trained.model, settings, flags.FLAGS.max_rows, folder)
    name = f"{dataset} {_SPLIT.value}"
    images = trained.images(dataset, _SPLIT.value, flags.FLAGS.data_dir)
    images = command.first_examples(images, name)
    results = evaluator.scores(images, name)
    summary = evaluation.summarise(results, settings, spec)
    path = evaluator.path(name, images).with_suffix(".json")
    whole = {
        "dataset": dataset,
        "split": _SPLIT.value,
        "weights_step": trained.weights_step,
        "settings": dataclasses.asdict(settings),
        **dataclasses.asdict(summary),
    }
    write_json(path, whole)
    if scores_path:
        names = [latent.name for latent in spec.latents]
        _write_scores(scores_path, _columns(results, names, settings.ks))
    print(f"{name}, {summary.examples} images, weights of step {trained.weights_step} ({path}):")
    for line in _table(summary, settings.iw_samples, settings.below):
        print(f"  {line}")
    last = {
        "examples": summary.examples,
        "iw_samples": settings.iw_samples,
        "l_1_nats": summary.l_1.nats,
        "l_k_nats": summary.l_k.nats,
        "l_k_nats_standard_error": summary.l_k.nats_standard_error,
        "l_1_bits_per_dim": summary.l_1.bits_per_dim,
        "l_k_bits_per_dim": summary.l_k.bits_per_dim,
    }
    print(json.dumps(last))


if __name__ == "__main__":
    command.start("evaluate", _main)
