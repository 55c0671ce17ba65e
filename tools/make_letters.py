"""Makes biva_tf/data/sources/letters_2k.npz: python -m tools.make_letters --output=letters_2k.npz

The letters are out-of-distribution examples for a model of digits: eighteen capitals (without B D G
I O Q S Z, which could be read as digits) in the fonts that come with matplotlib. They look
handwritten: slanted, turned, stretched, thickened, and bent by a smooth random field. The
preprocessing is that of MNIST: scaled to fit 20x20 pixels, the centre of mass in the middle of
28x28. The strokes are as thick as makes the letters' mean brightness follow the digits', so that
neither brightness nor sharp edges give the letters away.
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
from biva_tf.settings import required, setting

_LETTERS = "ACEFHJKLMNPRTUVWXY"
_FONTS = [
    FontProperties(family=family, style=style)
    for family in ("DejaVu Sans", "DejaVu Sans Mono", "DejaVu Serif", "STIXGeneral")
    for style in ("normal", "italic")
] + [FontProperties(family="cmss10")]
_CANVAS = 128  # pixels across while drawing
_BOX, _SIDE = 20, 28
_MAX_WIDTH, _SEARCH = 18.0, 7  # of the added stroke, in pixels of the canvas; bisections


@dataclasses.dataclass(frozen=True)
class LettersSettings:
    """The settings of `python -m tools.make_letters`."""

    output: str = required("The npz file to write.")
    number: int = setting(2000, "How many letters.", lower=1)


def _outline(letter: str, font: FontProperties, rng: np.random.Generator):
    path = TextPath((0, 0), letter, size=100, prop=font)
    box = path.get_extents()
    turn = Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2)
    turn = turn.scale(rng.uniform(0.75, 1.15), 1.0)
    turn = turn.skew(rng.normal(0.15, 0.2), 0.0).rotate(rng.normal(0, 0.12))
    path = path.transformed(turn)
    box = path.get_extents()
    return path.transformed(Affine2D().scale(70 / max(box.width, box.height)))


def _draw(path, width: float) -> np.ndarray:
    """Ink in [0, 1], [canvas, canvas], of an outline filled and stroked with a width."""
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
    """Fitted to 20x20 and centred by mass in 28x28, uint8."""
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
    """A letter whose mean brightness is near `ink`, as far as its stroke can be thickened."""
    path = _outline(letter, _FONTS[rng.integers(len(_FONTS))], rng)
    seed = rng.integers(2**31)
    low, high = 0.0, _MAX_WIDTH
    for _ in range(_SEARCH):
        width = (low + high) / 2
        image = _like_mnist(_bend(_draw(path, width), np.random.default_rng(seed)))
        low, high = (width, high) if image.mean() < ink else (low, width)
    return image


def make(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 [number, 28, 28], and labels, uint8 [number]: the place in the alphabet."""
    rng = np.random.default_rng(2019)
    digits = sources.load("mnist_10k", Location.of("")).train.images
    ink = rng.choice(digits.mean(axis=(1, 2, 3)), number)
    letters = rng.choice(list(_LETTERS), number)
    images = [_letter(letter, i, rng) for letter, i in zip(letters, ink, strict=True)]
    return np.stack(images), np.array([ord(letter) - ord("A") for letter in letters], np.uint8)


def run(settings: LettersSettings) -> Path:
    """Writes the letters; the path of the file."""
    images, labels = make(settings.number)
    content = io.BytesIO()
    np.savez_compressed(content, images=images, labels=labels)
    path = Path(settings.output)
    write_atomically(path, content.getvalue())
    return path


if __name__ == "__main__":
    start("make_letters", LettersSettings, lambda settings: print(run(settings)))
