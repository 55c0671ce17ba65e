"""Makes biva_tf/data/sources/letters_2k.npz:

    python -m tools.release.make_letters --output=letters_2k.npz

The letters are out-of-distribution examples for a model of digits. They are eighteen capitals in
the fonts that come with matplotlib; B D G I O Q S Z are left out, since they can be read as digits.
They look handwritten: slanted, rotated, stretched, thickened, and bent by a smooth random field.
The preprocessing is that of MNIST: each letter is scaled to fit 20x20 pixels, and its centre of
mass is moved to the middle of 28x28. The stroke width is chosen so that the mean brightness of the
letters follows that of the digits. So neither brightness nor sharp edges give the letters away.
"""

import dataclasses
import io
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from scipy import ndimage

from biva_tf.commands.start import start
from biva_tf.data import sources
from biva_tf.data.sources import Location
from biva_tf.files import write_atomically
from biva_tf.settings import Settings, required, setting

_LETTERS = "ACEFHJKLMNPRTUVWXY"
_FONTS = [
    FontProperties(family=family, style=style)
    for family in ("DejaVu Sans", "DejaVu Sans Mono", "DejaVu Serif", "STIXGeneral")
    for style in ("normal", "italic")
] + [FontProperties(family="cmss10")]
_CANVAS = 128  # pixels along a side of the drawing
_BOX, _SIDE = 20, 28  # pixels along a side of the letter and of the image
_MAX_WIDTH, _SEARCH = 18.0, 7  # of the added stroke, in canvas pixels; bisection steps


@dataclasses.dataclass(frozen=True)
class LettersSettings(Settings):
    """The settings of `python -m tools.release.make_letters`."""

    output: str = required("The npz file to write.")
    number: int = setting(2000, "How many letters.", lower=1)


def _outline(letter: str, font: FontProperties, rng: np.random.Generator):
    path = TextPath((0, 0), letter, size=100, prop=font)
    box = path.get_extents()
    transform = Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2)
    transform = transform.scale(rng.uniform(0.75, 1.15), 1.0)
    transform = transform.skew(rng.normal(0.15, 0.2), 0.0).rotate(rng.normal(0, 0.12))
    path = path.transformed(transform)
    box = path.get_extents()
    return path.transformed(Affine2D().scale(70 / max(box.width, box.height)))


def _draw(path, width: float) -> np.ndarray:
    """Fills an outline and adds a stroke; returns ink in [0, 1], [canvas, canvas]."""
    figure = Figure(figsize=(1, 1), dpi=_CANVAS, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-64, 64), ylim=(-64, 64))
    axes.axis("off")
    axes.add_patch(
        PathPatch(path, color="white", linewidth=width * 72 / _CANVAS, joinstyle="round")
    )
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 0] / 255.0


def _bend(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    fields = [ndimage.gaussian_filter(rng.uniform(-1, 1, ink.shape), 12) for _ in range(2)]
    grid = np.meshgrid(*map(np.arange, ink.shape), indexing="ij")
    moved = [g + f * 6.0 / np.abs(f).max() for g, f in zip(grid, fields, strict=True)]
    return ndimage.map_coordinates(ink, moved, order=1)


def _like_mnist(ink: np.ndarray) -> np.ndarray:
    """Fits ink to 20x20 pixels and centres it by mass in a uint8 image of 28x28."""
    rows, columns = (np.flatnonzero(ink.max(axis=axis) > 0.1) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = _BOX / max(ink.shape)
    blurred = ndimage.gaussian_filter(ink, 0.3 / scale)
    small = np.clip(ndimage.zoom(blurred, scale, order=1, grid_mode=True, mode="nearest"), 0, 1)
    frame = np.zeros((_SIDE, _SIDE))
    top, left = (_SIDE - small.shape[0]) // 2, (_SIDE - small.shape[1]) // 2
    frame[top : top + small.shape[0], left : left + small.shape[1]] = small
    centre = ndimage.center_of_mass(frame)
    frame = ndimage.shift(frame, np.round((_SIDE - 1) / 2 - np.array(centre)), order=0)
    return np.round(frame * 255).astype(np.uint8)


def _letter(letter: str, ink: float, rng: np.random.Generator) -> np.ndarray:
    """A letter with a mean brightness near `ink`, or as near as the widest stroke brings it."""
    path = _outline(letter, _FONTS[rng.integers(len(_FONTS))], rng)
    seed = rng.integers(2**31)
    low, high = 0.0, _MAX_WIDTH
    for _ in range(_SEARCH):
        width = (low + high) / 2
        image = _like_mnist(_bend(_draw(path, width), np.random.default_rng(seed)))
        low, high = (width, high) if image.mean() < ink else (low, width)
    return image


def make(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 [number, 28, 28], and labels, uint8 [number], the positions in the alphabet."""
    rng = np.random.default_rng(2019)
    digits = sources.load("mnist_10k", Location.from_text("")).train.images
    brightness = rng.choice(digits.mean(axis=(1, 2, 3)), number)
    letters = rng.choice(list(_LETTERS), number)
    images = [_letter(letter, b, rng) for letter, b in zip(letters, brightness, strict=True)]
    return np.stack(images), np.array([ord(letter) - ord("A") for letter in letters], np.uint8)


def run(settings: LettersSettings) -> Path:
    """Writes the letters and returns the path of the file."""
    images, labels = make(settings.number)
    content = io.BytesIO()
    np.savez_compressed(content, images=images, labels=labels)
    path = Path(settings.output)
    write_atomically(path, content.getvalue())
    return path


if __name__ == "__main__":
    start("make_letters", LettersSettings, lambda settings: print(run(settings)))
