"""Writes a page about a run: python -m biva_tf.report --model_dir=runs/mnist_sample

One HTML file that needs no other: the bounds of the run and of its evaluations, learning curves,
the KL of each latent, samples, reconstructions, a traversal of the top latent, the results of
biva_tf.anomaly and biva_tf.classify, and all settings. What a run does not have is left out, or
said in a line, so that the page can be written while the run trains.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from biva_tf.commands.model import ModelSettings
from biva_tf.commands.outputs import check_file
from biva_tf.commands.start import start
from biva_tf.errors import UserError
from biva_tf.files import write_atomically
from biva_tf.runs.metrics import read_metrics
from biva_tf.runs.run_dir import RunDirError
from biva_tf.settings import setting

if TYPE_CHECKING:
    from biva_tf.evaluation.records import Record

T = TypeVar("T")
R = TypeVar("R", bound="Record")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportSettings(ModelSettings):
    """The settings of `python -m biva_tf.report`."""

    output: str | None = setting(None, "Where to; by default MODEL_DIR/report.html.", path=True)
    num_samples: int | None = setting(
        None, "Samples of the prior (by default 64, or 2048 points, or 20 sentences).", lower=1
    )
    seed: int = setting(0, "Seed of all draws.", lower=0)

    def check_files(self) -> None:
        """Raises UserError if there is no model, or the page cannot be written."""
        super().check_files()
        if self.output:
            check_file("output", self.output)
        else:
            self.check_results()


def run(settings: ReportSettings) -> Path:
    """Writes the page about a run; its path.

    Raises:
      RunDirError: it is not the model_dir of a run.
    """
    from biva_tf import api
    from biva_tf.evaluation.records import AnomalyRecord, ClassificationRecord, EvaluationRecord
    from biva_tf.plotting import figures
    from biva_tf.plotting.document import Paragraph, Section, page
    from biva_tf.reports import drawings, results, training

    figures.require()
    run_dir = settings.run_dir
    spec, options = run_dir.read()
    if not options:
        raise RunDirError(f"{run_dir.path}: no run trained this model; a report is about a run")
    lacks: list[str] = []
    result = _read(run_dir.read_summary, "There is no result", lacks)
    metrics = _read(lambda: read_metrics(run_dir), "There are no learning curves", lacks)
    trained = _read(settings.load, "There are no samples", lacks)
    by_path = _records(settings, lacks)

    def records_of(kind: type[R]) -> list[tuple[Path, R]]:
        return [(path, record) for path, record in by_path if isinstance(record, kind)]

    model = api.build(spec) if trained is None else trained
    step = None if trained is None else model.training.weights_step
    evaluations = [record for _, record in records_of(EvaluationRecord)]
    sections = [
        training.summary(options, spec, model.count_params(), step, result, metrics or {}),
        results.bounds(result, evaluations, options["dataset"]),
    ]
    if metrics is not None:
        sections.append(training.learning(metrics, spec))
    classes = results.classification(records_of(ClassificationRecord))
    if trained is not None:
        sections += [
            drawings.samples(model, settings.num_samples, settings.seed),
            drawings.reconstructions(model, run_dir, settings.seed),
            drawings.traversal(model, settings.seed),
        ]
        if spec.classes is not None:
            classes = drawings.classes(model, settings.seed) + classes
    if classes:
        sections.append(Section("Classes", classes))
    anomalies = records_of(AnomalyRecord)
    if anomalies:
        sections.append(results.anomalies(anomalies, spec))
    sections.append(training.all_settings(options))
    if lacks:
        sections.append(Section("What is not here", tuple(map(Paragraph, lacks))))
    path = Path(settings.output or settings.results_dir.path / "report.html")
    path.parent.mkdir(parents=True, exist_ok=True)
    title = f"{run_dir.path.resolve().name}: {options['architecture']} on {options['dataset']}"
    write_atomically(path, page(title, tuple(sections)).encode())
    return path


def _read(read: Callable[[], T], without: str, lacks: list[str]) -> T | None:
    """What `read` gives; where it fails, None, and the reason is added to `lacks`."""
    try:
        return read()
    except UserError as e:
        lacks.append(f"{without}: {e}")
        return None


def _records(settings: ReportSettings, lacks: list[str]) -> list[tuple[Path, Record]]:
    """The results of evaluations, with their files."""
    from biva_tf.evaluation import records

    paths = sorted(settings.results_dir.evaluations.glob("*.json"))
    shipped = settings.run_dir.path / "evaluation.json"  # of a trained model that ships
    if shipped.exists():
        paths.insert(0, shipped)
    by_path = [
        (path, _read(functools.partial(records.read, path), "A result was left out", lacks))
        for path in paths
    ]
    return [(path, record) for path, record in by_path if record is not None]


def _print(settings: ReportSettings) -> None:
    print(run(settings))


def main() -> None:
    """Runs the command with the flags that it was given."""
    start("report", ReportSettings, _print)


if __name__ == "__main__":
    main()
