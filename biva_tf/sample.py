"""Draws images of a trained model: python -m biva_tf.sample --model_dir=runs/mnist_sample

--mode=prior        samples of the prior
--mode=levels       one sample per row: the top latent alone, then one more level per column
--mode=reconstruct  per row an image, then its reconstructions without the lowest 0, 1, ... levels
--mode=interpolate  per row two images, and between them images by interpolated latents
--mode=traverse     per row a unit of --latent, from -3 to 3 standard deviations of its prior
--mode=classes      per row a class, per column a style: the same draws in all classes

Writes OUTPUT.png and OUTPUT.npz (`images`, float32, and the values along its axes). The same seed
gives the same files. Points of a density are drawn in scatter plots, a panel for every column.
Sentences are written to OUTPUT.txt in place of a picture, and printed; OUTPUT.npz has them as
`texts`, too.
"""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from biva_tf.commands.model import ModelSettings
from biva_tf.commands.outputs import check_place
from biva_tf.commands.start import start
from biva_tf.data import pipeline
from biva_tf.data.images import NO_LABEL, Images
from biva_tf.data.reading import inputs
from biva_tf.data.reading.inputs import Reading
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.data.sources import NotPreparedError, Split
from biva_tf.errors import Setting, SettingsError, UserError
from biva_tf.files import write_atomically
from biva_tf.ranges import TEMPERATURES
from biva_tf.settings import setting

if TYPE_CHECKING:
    from biva_tf.api import BIVA
    from biva_tf.data.pipeline import Examples
    from biva_tf.drawing import Arrays


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleSettings(ModelSettings):
    """The settings of `python -m biva_tf.sample`."""

    mode: str = setting(
        "prior",
        "What to draw.",
        choices=("prior", "levels", "reconstruct", "interpolate", "traverse", "classes"),
    )
    num_samples: int | None = setting(
        None,
        "Samples (prior: 64, or 2048 points, or 20 sentences; levels: 8; classes: 8 of each), or "
        "images to reconstruct (8).",
        lower=1,
    )
    temperature: float = setting(
        1.0, "Scales the standard deviation of the prior.", lower=0.0, upper=TEMPERATURES.upper
    )
    label: int | None = setting(
        None,
        "The class to draw, for --mode=prior and a model with classes; by default any.",
        lower=0,
    )
    seed: int = setting(0, "Seed of all draws.", lower=0)
    k: tuple[int, ...] | None = setting(
        None,
        "Latents of levels <= k are prior means: one k to interpolate with (by default 0), several "
        "to reconstruct with (all).",
        lower=0,
    )
    dataset: str | None = setting(None, "Another data set than the model was trained on.")
    data_dir: str | None = setting(
        None, "The folder of prepared data sets; by default the one that the run used."
    )
    split: str = setting("test", "The split that images are from.", choices=pipeline.SPLITS)
    input: str | None = setting(
        None,
        "In place of a data set, images of one's own: a folder of pictures, or an .npy, .npz or "
        ".parquet file, or a pattern of them.",
        path=True,
    )
    reading: Reading = dataclasses.field(default_factory=Reading)
    examples: tuple[int, ...] | None = setting(
        None,
        "Places of images in the split or the input: to reconstruct, in pairs to interpolate, or "
        "one to traverse from (by default a sample of the prior).",
    )
    steps: int = setting(11, "Columns of interpolations and traversals.", lower=2)
    latent: str | None = setting(None, "The latent to traverse; by default the top one.")
    units: tuple[int, ...] | None = setting(
        None, "The units of --latent; by default the first 8.", lower=0
    )
    output: str | None = setting(
        None, "Where to, without suffix; by default MODEL_DIR/pictures/MODE.", path=True
    )

    def check_files(self) -> None:
        """Raises UserError if there is no model, or the picture cannot be written."""
        super().check_files()
        if self.output:
            check_place("output", self.output)
        else:
            self.check_results()


@dataclasses.dataclass(frozen=True)
class Samples:
    """Drawn images: arrays, and a picture or text of them.

    Attributes:
      arrays: `images`, float32, and the values along its axes.
      npz: the file with the arrays.
      png: the picture; None of text.
      txt: the sentences; None of images.
    """

    arrays: Arrays
    npz: Path
    png: Path | None
    txt: Path | None


def run(settings: SampleSettings) -> Samples:
    """Draws images of a trained model.

    Raises:
      UserError: the run, the data set or a setting does not fit; the message says why.
    """
    from biva_tf import drawing
    from biva_tf.plotting.grid import write_png

    model = settings.load()
    try:
        arrays = _MODES[settings.mode](model, settings)
    except UserError:
        raise
    except ValueError as e:
        raise SettingsError(str(e)) from e
    output = settings.output or settings.results_dir.pictures / settings.mode
    output = Path(output)
    if output.suffix in (".png", ".npz", ".txt"):
        output = output.with_suffix("")
    output.parent.mkdir(parents=True, exist_ok=True)
    npz = output.with_name(f"{output.name}.npz")
    png = txt = None
    shown = drawing.show(model, arrays)
    if shown.text is not None:
        txt = output.with_name(f"{output.name}.txt")
        write_atomically(txt, shown.text.encode())
    if (vocabulary := model.training.vocabulary) is not None:
        arrays["texts"] = vocabulary.texts(arrays["images"])
    if shown.picture is not None:
        png = output.with_name(f"{output.name}.png")
        write_png(png, shown.picture)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]  # names of arrays
    write_atomically(npz, content.getvalue())
    return Samples(arrays, npz, png, txt)


def _examples(model: BIVA, settings: SampleSettings, number: int) -> np.ndarray:
    """The images that --examples names; by default the first `number`, or all of fewer."""
    images = _images(model, settings)
    name = settings.input or f"{settings.dataset or model.training.dataset} {settings.split}"
    places = settings.examples
    if places is None:
        places = tuple(range(min(number, len(images))))
    for place in places:
        if not 0 <= place < len(images):
            expected = f"0..{len(images) - 1} of {name}"
            raise SettingsError(f"--examples: expected places in {expected}, got {place}")
    return images[np.array(places, np.int64)]


def _images(model: BIVA, settings: SampleSettings) -> Examples:
    """The images of the input, or of the split."""
    from biva_tf import drawing

    if settings.input is not None:
        return _of_user(model, settings.input, settings.reading)
    try:
        if settings.dataset is None and settings.split == "test":
            return drawing.test_images(model, settings.run_dir, settings.data_dir)
        return model.images(settings.dataset, settings.split, settings.data_dir)
    except NotPreparedError as e:
        raise NotPreparedError(e, " Or give images of your own: ", Setting("input")) from e


def _of_user(model: BIVA, path: str, reading: Reading) -> Images:
    """The images of the input as the model reads its test images."""
    spec, given = model.spec, Setting("input", path)
    if not spec.of_images:
        raise SettingsError(given, ": expected a model of images")
    notes = ReadingNotes()
    try:
        pixels, _ = inputs.images(path, reading, spec.image_shape, notes)
    finally:
        notes.say()
    if pixels.dtype != np.uint8:
        pixels = np.round(pixels * 255).astype(np.uint8)
    split = Split(pixels, np.full(len(pixels), NO_LABEL))
    dataset = None if model.training.settings else "image_folder"
    found = pipeline.fixed_images(split, "test", model.training.data_config(dataset))
    pipeline.check_fits(spec, found, path)
    return found


def _prior(model: BIVA, settings: SampleSettings) -> Arrays:
    from biva_tf import drawing

    return drawing.prior(
        model,
        settings.num_samples,
        seed=settings.seed,
        temperature=settings.temperature,
        label=settings.label,
    )


def _levels(model: BIVA, settings: SampleSettings) -> Arrays:
    from biva_tf.inference import exploration

    number = settings.num_samples or 8
    images = exploration.samples_by_level(
        model, number, seed=settings.seed, temperature=settings.temperature
    )
    return {"images": images, "k": np.arange(model.spec.num_levels)[::-1]}


def _reconstruct(model: BIVA, settings: SampleSettings) -> Arrays:
    from biva_tf import drawing

    originals = _examples(model, settings, settings.num_samples or 8)
    if settings.examples is None and len(originals) < (settings.num_samples or 1):
        expected = f"at most the {len(originals)} images that there are"
        raise SettingsError(f"--num_samples: expected {expected}, got {settings.num_samples}")
    return drawing.reconstructions(model, originals, settings.k, seed=settings.seed)


def _interpolate(model: BIVA, settings: SampleSettings) -> Arrays:
    from biva_tf.inference import exploration

    ends = _examples(model, settings, 16)
    if settings.examples is None and len(ends) > 1:
        ends = ends[: len(ends) // 2 * 2]
    if len(ends) % 2:
        raise SettingsError(f"--examples: expected pairs of images, got {len(ends)}")
    k = (0,) if settings.k is None else settings.k
    if len(k) != 1:
        raise SettingsError(f"--k: expected one k to interpolate with, got {len(k)}")
    images = exploration.interpolate(
        model, ends[::2], ends[1::2], settings.steps, k=k[0], seed=settings.seed
    )
    return {"images": images, "first": ends[::2], "second": ends[1::2]}


def _traverse(model: BIVA, settings: SampleSettings) -> Arrays:
    from biva_tf import drawing

    image = None
    if settings.examples is not None:
        images = _examples(model, settings, 0)
        if len(images) != 1:
            raise SettingsError(f"--examples: expected one to traverse from, got {len(images)}")
        image = images[0]
    return drawing.traversal(
        model,
        settings.latent,
        settings.units,
        steps=settings.steps,
        image=image,
        seed=settings.seed,
    )


def _classes(model: BIVA, settings: SampleSettings) -> Arrays:
    from biva_tf import drawing

    return drawing.classes(
        model, settings.num_samples or 8, seed=settings.seed, temperature=settings.temperature
    )


_MODES = {
    "prior": _prior,
    "levels": _levels,
    "reconstruct": _reconstruct,
    "interpolate": _interpolate,
    "traverse": _traverse,
    "classes": _classes,
}


def _print(settings: SampleSettings) -> None:
    drawn = run(settings)
    if drawn.txt is not None:
        print(drawn.txt.read_text(), end="")
    print(drawn.npz)
    print(drawn.png or drawn.txt)


def main() -> None:
    """Runs the command with the flags that it was given."""
    start("sample", SampleSettings, _print)


if __name__ == "__main__":
    main()
