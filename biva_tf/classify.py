"""Classifies images: python -m biva_tf.classify --model_dir=runs/mnist_10k_semi

The test error of q(y|x), averaged over samples of the bottom-up latents (paper, Table 3), its
negative log-likelihood and its calibration error. Prints them, and on the last line one JSON
object. The whole result, and a picture of the confusion matrix, are in MODEL_DIR/evaluations/; with
--predictions the class probabilities of every image are in a CSV file.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from biva_tf.commands.outputs import check_file
from biva_tf.commands.scoring import ExamplesSettings
from biva_tf.commands.start import start
from biva_tf.data import pipeline
from biva_tf.errors import SettingsError
from biva_tf.files import write_atomically
from biva_tf.settings import setting

if TYPE_CHECKING:
    from biva_tf.evaluation.classes import Classification


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifySettings(ExamplesSettings):
    """The settings of `python -m biva_tf.classify`."""

    dataset: str | None = setting(None, "Another data set than the model was trained on.")
    split: str = setting("test", "The split.", choices=pipeline.SPLITS)
    num_samples: int = setting(10, "Samples of the bottom-up latents per image.", lower=1)
    predictions: str | None = setting(
        None, "Also write the class probabilities of every image to this .csv file.", path=True
    )

    def check_files(self) -> None:
        """Raises UserError if there is no model, or the probabilities cannot be written."""
        super().check_files()
        if self.predictions:
            check_file("predictions", self.predictions)


@dataclasses.dataclass(frozen=True)
class Classified:
    """The result.

    Attributes:
      name: the name of the data set and its split.
      weights_step: the step that the weights are from.
      summary: the reported numbers.
      path: the JSON file; the picture is beside it.
    """

    name: str
    weights_step: int
    summary: Classification
    path: Path


def run(settings: ClassifySettings) -> Classified:
    """Classifies a split.

    Raises:
      UserError: the run, the data set or a setting does not fit; the message says why.
    """
    from biva_tf.evaluation import records
    from biva_tf.evaluation.classes import assess
    from biva_tf.evaluation.progress import ForecastProgress
    from biva_tf.evaluation.records import ClassificationRecord
    from biva_tf.inference import classification
    from biva_tf.plotting import figures

    figures.require()
    model = settings.load()
    number = model.spec.num_classes
    if not number:
        raise SettingsError(f"{settings.run_dir.path}: expected a model with classes")
    dataset = settings.dataset or model.training.dataset
    name = f"{dataset} {settings.split}"
    images = model.images(dataset, settings.split, settings.data_dir)
    images = settings.first_examples(images, name)
    labels = images.labels
    if labels is None or not np.isin(labels, np.arange(number)).all():
        raise SettingsError(f"--dataset={dataset}: expected labels 0 to {number - 1}")
    with ForecastProgress(len(images)) as progress:
        probabilities = classification.classify(
            model,
            images[:],
            num_samples=settings.num_samples,
            seed=settings.seed,
            max_rows=settings.max_rows,
            show=progress.show,
        )
    summary = assess(probabilities, labels)
    path = settings.results_dir.evaluations / f"{name.replace(' ', '_')}_classes.json"
    figures.write(path.with_suffix(".png"), figures.confusion(summary.confusion))
    record = ClassificationRecord(
        dataset,
        settings.split,
        model.training.weights_step,
        settings.num_samples,
        settings.seed,
        summary,
    )
    records.write(path, record)
    if settings.predictions:
        _write_predictions(Path(settings.predictions), probabilities, labels)
    return Classified(name, model.training.weights_step, summary, path)


def _write_predictions(path: Path, probabilities: np.ndarray, labels: np.ndarray) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    classes = range(probabilities.shape[1])
    writer.writerow(["example", "label", "predicted", *(f"q_{y}" for y in classes)])
    for i, (row, label) in enumerate(zip(probabilities, labels, strict=True)):
        writer.writerow([i, int(label), int(row.argmax()), *map(float, row)])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue().encode())


def _print(settings: ClassifySettings) -> None:
    classified = run(settings)
    s = classified.summary
    print(
        f"{classified.name}, {s.examples} images, weights of step {classified.weights_step} "
        f"({classified.path}, .png):"
    )
    print(f"  error           {100 * s.error:>10.2f} %")
    print(f"  -log q(y|x)     {s.nll_nats:>10.4f} nats")
    print(f"  calibration     {s.ece:>10.4f} (ECE)")
    last = {name: getattr(s, name) for name in ("examples", "error", "nll_nats", "ece")}
    print(json.dumps(last))


def main() -> None:
    """Runs the command with the flags that it was given."""
    start("classify", ClassifySettings, _print)


if __name__ == "__main__":
    main()
