"""Scores many images with an exported model, on all cores of a machine or on a Ray cluster.

    python -m biva_tf.score_dataset --export_dir=runs/models/biva --input='data/*.parquet' \
      --output=runs/scores --iw_samples=10 --k=1,2

--input is a glob of Parquet files, .npz files, pictures and folders of pictures; a data set that
the project knows (mnist_10k/test); or one in TFDS's format (tfds:NAME/SPLIT). Writes Parquet files
with a row per image: its id, which is its place in the sorted inputs, its source and row, L_K,
bits/dim, L_1, reconstruction and KL terms, L^{>k} and LLR^{>k} for every k, and with --encodings
the means of the posteriors. An image has the noise of its id, so the files are the same bytes for
any number of workers. Images that cannot be read are skipped and listed in OUTPUT/skipped.csv. If
the command is interrupted or killed, the same command goes on. Needs the package ray[data]. Prints,
as the last line, one JSON object.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from biva_tf import extras
from biva_tf.commands.outputs import check_folder
from biva_tf.commands.start import start
from biva_tf.data.images import BINARIZATIONS
from biva_tf.data.pipeline import SEEDS
from biva_tf.data.reading.inputs import Reading
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.errors import Setting, SettingsError
from biva_tf.locks import only_one
from biva_tf.runs import config
from biva_tf.serving import versions
from biva_tf.settings import Settings, required, setting

if TYPE_CHECKING:
    from biva_tf.batch_scoring.exported import Exported
    from biva_tf.batch_scoring.output import Scores
    from biva_tf.batch_scoring.parts import ImageForm

_NAMED = 10  # images in a line
_GREATEST_SEED = 2**31 - 1  # that an export takes
_SEED = SEEDS["test"]  # of the draws that make grey images binary


@dataclasses.dataclass(frozen=True)
class ScoreDatasetSettings(Settings):
    """The settings of `python -m biva_tf.score_dataset`."""

    export_dir: str = required("The folder of the versions that biva_tf.export wrote.", path=True)
    input: str = required(
        "A path or a pattern of .parquet, .npz and .npy files, pictures and folders of them; or "
        "NAME/SPLIT of a data set of the project; or tfds:NAME/SPLIT.",
        path=True,
    )
    output: str = required(
        "The folder of the scores: a new one, or that of an earlier start.", path=True
    )
    version: int | None = setting(
        None, "The number of the exported version; by default the newest.", lower=1
    )
    iw_samples: int = setting(
        10, "Samples per image: K of L_K, and those whose mean is L^{>k}.", lower=1
    )
    k: tuple[int, ...] | None = setting(
        None, "The k of the scores L^{>k} (paper, eq. 2): 0,2,4.", lower=0
    )
    seed: int = setting(0, "Seed of the samples.", lower=0, upper=_GREATEST_SEED)
    encodings: bool = setting(False, "Write the mean of each latent's posterior too.")
    reading: Reading = dataclasses.field(default_factory=Reading)
    binarize: str = setting(
        "auto",
        "How grey images become binary: none (they do not), threshold, bernoulli (drawn once, by "
        "their ids), or auto: as in the training of the model.",
        choices=("auto", *(name for name in BINARIZATIONS if name != "dynamic")),
    )
    threshold: int | None = setting(
        None,
        "A pixel is 1 if its value, 0 to 255, is above it; by default as in the training.",
        lower=0,
        upper=254,
    )
    data_dir: str | None = setting(
        None,
        "The folder of prepared data sets; by default the one that the training used.",
    )
    part_size: int = setting(1024, "Images that are scored and written at once.", lower=1)
    workers: int = setting(0, "Processes, one CPU each; 0 for as many as there are CPUs.", lower=0)
    address: str | None = setting(
        None, "Of a Ray cluster; by default Ray runs on this machine for the time of the command."
    )

    def check_files(self) -> None:
        """Raises UserError if there is no export, or the scores cannot be written."""
        versions.existing(Path(self.export_dir), self.version)
        check_folder("output", self.output)


@dataclasses.dataclass(frozen=True)
class DatasetScores:
    """The scores of a data set.

    Attributes:
      scores: what the folder has.
      images: the number of all images, with the skipped ones.
      computed: those of the images that this call has scored; the others were done before.
      seconds: that it took to score them, with the start of the workers.
      l_k_nats, bits_per_dim: the means over the images.
    """

    scores: Scores
    images: int
    computed: int
    seconds: float
    l_k_nats: float
    bits_per_dim: float


def run(settings: ScoreDatasetSettings) -> DatasetScores:
    """Scores the images that are not scored yet.

    Raises:
      UserError: the export, the images, the folder or a setting does not fit, another process
        scores into the folder, or Ray is missing; the message says why.
      OSError: the folder cannot be written; once it can, the same command goes on.
      InterruptionError: SIGINT or SIGTERM came; finished parts are kept.
    """
    from biva_tf.batch_scoring import exported, inputs, parts
    from biva_tf.batch_scoring.output import ScoresFolder
    from biva_tf.batch_scoring.parts import ImageForm
    from biva_tf.batch_scoring.pool import Pool
    from biva_tf.batch_scoring.scorer import Request
    from biva_tf.evaluation.progress import ForecastProgress
    from biva_tf.inference import objectives
    from biva_tf.inference.chunks import ROWS
    from biva_tf.training.interruption import Interruption

    export = exported.find(Path(settings.export_dir), settings.version)
    spec = export.spec
    for k in settings.k or ():
        if not 0 <= k < spec.num_levels:
            raise SettingsError(f"--k: expected 0 to {spec.num_levels - 1}, got {k}")
    if export.max_rows is not None and ROWS * settings.iw_samples > export.max_rows:
        most = f"1 to {export.max_rows // ROWS}, by the limit of the export, {export.max_rows} rows"
        raise SettingsError(
            Setting("iw_samples"), f": expected {most} of {ROWS} images, got {settings.iw_samples}"
        )
    extras.require("score_dataset", "ray", "pyarrow")
    pool = Pool(settings.workers, settings.address)
    data = _data(settings, export)
    notes = ReadingNotes()
    try:
        rows = inputs.find(settings.input, settings.reading, data, spec, notes)
    finally:
        notes.say()
    files = parts.state_of_files(rows)
    form = ImageForm(spec.image_shape, spec.likelihood.binary, data.binarize, data.threshold, _SEED)
    ks = tuple(sorted(set(settings.k or ())))
    all_parts = list(parts.cut(rows, settings.part_size))
    total = sum(map(len, all_parts))
    folder = Path(settings.output)
    with (
        only_one(folder, Setting("output", settings.output), "scoring"),
        Interruption() as interruption,
    ):
        output = ScoresFolder(folder, _about(settings, export, form, ks, rows))
        request = Request(
            export.folder.resolve(),
            spec.kl_names,
            form,
            ks,
            settings.iw_samples,
            settings.seed,
            settings.encodings,
            output.run,
        )
        start_time = time.perf_counter()
        finished = output.finished(rows, all_parts, spec.image_shape)
        missing = [part for part in all_parts if part.index not in finished]
        done = before = total - sum(map(len, missing))
        if missing:
            print(_plan(total, before, form), file=sys.stderr)
            with pool, ForecastProgress(total, before, pool.workers) as progress:
                interruption.handle_again()
                for index, images, content in pool.scored(missing, request):
                    with interruption.held():
                        output.write(index, content)
                    interruption.check()
                    done += images
                    progress.show(done)
        if parts.state_of_files(rows) != files:  # while they were read
            output.finished(rows, all_parts, spec.image_shape)
        seconds = time.perf_counter() - start_time
        scores = output.finish(len(all_parts))
    with np.errstate(over="ignore"):  # of bounds that are the least float32
        bound = scores.bounds.mean()
        bits = objectives.bits_per_dim(scores.bounds, spec.image_shape).mean()
    return DatasetScores(scores, total, total - before, seconds, float(bound), float(bits))


def _data(settings: ScoreDatasetSettings, export: Exported):
    """How data sets, and the images in files, are read."""
    from biva_tf.batch_scoring import inputs

    known = inputs.split_of(settings.input)
    dataset = known[0] if known else None
    data = config.evaluation_data(export.settings, dataset, settings.data_dir)
    asked = settings.binarize != "auto"
    return dataclasses.replace(
        data,
        binarize=settings.binarize if asked else data.evaluation_binarize,
        threshold=data.threshold if settings.threshold is None else settings.threshold,
    )


def _about(
    settings: ScoreDatasetSettings, export: Exported, form: ImageForm, ks: tuple[int, ...], rows
) -> dict:
    import pyarrow
    import tensorflow as tf

    return {
        "export": export.fingerprint,
        "input": [each.describe() for each in rows],
        "iw_samples": settings.iw_samples,
        "k": ks,
        "seed": settings.seed,
        "encodings": settings.encodings,
        "binarize": form.binarize,
        "threshold": form.threshold if form.binarize == "threshold" else None,
        "background": settings.reading.background,
        "part_size": settings.part_size,
        "tensorflow": tf.__version__,
        "pyarrow": pyarrow.__version__,
    }


def _plan(total: int, before: int, form: ImageForm) -> str:
    binarize = form.binarize
    if binarize == "threshold":
        binarize += f" above {form.threshold}"
    kept = f"; {before} are scored already" if before else ""
    return f"{total} images, --binarize={binarize}{kept}"


def _print(settings: ScoreDatasetSettings) -> None:
    scored = run(settings)
    scores = scored.scores
    print(f"{len(scores.bounds)} images in {scores.parts}")
    if scores.skipped:
        print(f"{len(scores.skipped)} images could not be read: {scores.skipped_path}")
    if odd := len(scores.overflowing):
        named = ", ".join(map(str, scores.overflowing[:_NAMED])) + (", ..." if odd > _NAMED else "")
        print(
            f"note: {odd} images are so unlike the training data that float32 has no room for "
            f"their bounds, which are -3.4e38 and enter the means (id {named})",
            file=sys.stderr,
        )
    result = {
        "images": scored.images,
        "skipped": len(scores.skipped),
        "computed": scored.computed,
        "seconds": round(scored.seconds, 3),
        "l_k_nats": scored.l_k_nats,
        "l_k_bits_per_dim": scored.bits_per_dim,
    }
    print(json.dumps(result))


def main() -> None:
    """Runs the command with the flags that it was given."""
    start("score_dataset", ScoreDatasetSettings, _print)


if __name__ == "__main__":
    main()
