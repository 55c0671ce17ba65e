"""Compares the compression of a model with that of general codecs, on the same test images:

    python -m tools.experiments.codecs --pretrained=mnist_10k_small --dataset=mnist_10k

Lossless codecs of pictures (PNG, WebP, JPEG XL) code every image by itself, and then all of them in
one sheet, which has one header and lets them learn from one image for the next. Codecs of bytes
(bz2, xz, zstd) code all pixels at once, those of binary images packed eight to a byte. Every codec
is at its strongest setting, and its output is decoded and compared with the images. Prints a table,
and as the last line one JSON object.
"""

import bz2
import dataclasses
import functools
import io
import lzma
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import zstandard
from PIL import Image

from biva_tf.commands.scoring import DataSetSettings
from biva_tf.commands.start import compute_with_threads, start
from biva_tf.compression import pixel_values
from biva_tf.compression.codec import Codec
from biva_tf.compression.options import Options
from biva_tf.errors import UserError
from biva_tf.inference import objectives
from biva_tf.settings import setting
from tools.experiments import sweep


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodecsSettings(DataSetSettings):
    """The settings of `python -m tools.experiments.codecs`."""

    dataset: str | None = setting(None, "The data set; by default the model's own.")
    batch: int = setting(
        Options.rows, "Images that the model sees at once.", lower=1, upper=2**16 - 1
    )


@dataclasses.dataclass(frozen=True)
class CodecResult:
    """The result of a codec.

    Attributes:
      codec: its name.
      bits_per_dim: the code length of all images.
      seconds, decode_seconds: the time to compress and to decompress all of them.
    """

    codec: str
    bits_per_dim: float
    seconds: float
    decode_seconds: float


@dataclasses.dataclass(frozen=True)
class CodecComparison:
    """The codecs side by side.

    Attributes:
      rows: the results, the model's first.
      images: the number of images.
      bound_bits_per_dim: -L_1 of the images.
      initial_bits_per_dim: the initial bits, which the model's row includes.
    """

    rows: tuple[CodecResult, ...]
    images: int
    bound_bits_per_dim: float
    initial_bits_per_dim: float


@dataclasses.dataclass(frozen=True)
class General:
    """A general codec of integer pixels.

    A codec of pictures takes uint8 [height, width, channels], a codec of bytes any shape.

    Attributes:
      encode: turns pixels into bytes.
      decode: turns bytes into the pixels, in order.
      form: splits the images into the parts to code: `list` into images, `_sheet` into one sheet of
        all, `_whole` into one array of all.
    """

    encode: Callable[[np.ndarray], bytes]
    decode: Callable[[bytes], np.ndarray]
    form: Callable[[np.ndarray], list[np.ndarray]]


def run(settings: CodecsSettings) -> CodecComparison:
    """Compresses the test images with the model and with every codec.

    Raises:
      UserError: the model, the data or a package is missing, or a codec is not lossless.
    """
    compute_with_threads(1)
    model = settings.load()
    spec = model.spec
    dataset = settings.dataset or model.training.dataset
    examples = model.images(dataset, data_dir=settings.data_dir)
    images = settings.first_examples(examples, f"{dataset} test")[:]
    codec, options = Codec(model), Options(settings.batch)
    codec.compress(images[:1], options)  # traces the graphs, so that `seconds` leaves that out
    began = time.perf_counter()
    compressed = codec.compress(images, options)
    ended = time.perf_counter()
    codec.verify(compressed.data, images)
    decoded = time.perf_counter()
    own = 8 * len(compressed.data) / images.size
    rows = [CodecResult("biva_tf", own, ended - began, decoded - ended)]
    pixels, _ = pixel_values.from_images(images, spec)
    general = _general(255 // (pixel_values.number_of_values(spec) - 1))
    rows += [_measured(name, other, pixels) for name, other in general.items()]
    bound = model.score(images, seed=0).elbo_nats.mean()
    return CodecComparison(
        tuple(rows),
        len(images),
        float(objectives.bits_per_dim(bound, spec.image_shape)),
        compressed.initial_bits / images.size,
    )


def _measured(name: str, codec: General, pixels: np.ndarray) -> CodecResult:
    parts = codec.form(pixels)
    began = time.perf_counter()
    data = [codec.encode(part) for part in parts]
    ended = time.perf_counter()
    decoded = [codec.decode(content) for content in data]
    seconds = time.perf_counter() - ended
    for part, back in zip(parts, decoded, strict=True):
        if not np.array_equal(part.ravel(), back.ravel()[: part.size]):
            raise UserError(f"{name}: expected a lossless codec, got other pixels")
    return CodecResult(name, 8 * sum(map(len, data)) / pixels.size, ended - began, seconds)


def _sheet(pixels: np.ndarray) -> list[np.ndarray]:
    """All images side by side in one sheet, nearly square, with zeros where images are missing."""
    number, height, width, channels = pixels.shape
    columns = math.ceil(math.sqrt(number))
    lines = -(-number // columns)
    filled = np.zeros((lines * columns, height, width, channels), np.uint8)
    filled[:number] = pixels
    grid = filled.reshape(lines, columns, height, width, channels).swapaxes(1, 2)
    return [grid.reshape(lines * height, columns * width, channels)]


def _whole(pixels: np.ndarray) -> list[np.ndarray]:
    return [pixels]


def _general(white: int) -> dict[str, General]:
    """The general codecs by name; `white` times the greatest pixel is 255."""
    try:
        import pillow_jxl  # noqa: F401, it adds the format to Pillow
    except ImportError as e:
        raise UserError(f"JPEG XL needs pip install pillow-jxl-plugin ({e})") from e
    codecs = {}
    for name, kind, options in (
        ("PNG", "PNG", {"optimize": True}),
        ("WebP", "WEBP", {"lossless": True, "quality": 100, "method": 6, "exact": True}),
        ("JPEG XL", "JXL", {"lossless": True, "effort": 9}),
    ):
        encode = functools.partial(_encode_picture, white, kind, options)
        decode = functools.partial(_decode_picture, white)
        for form, how in ((list, "each"), (_sheet, "sheet")):
            codecs[f"{name}, {how}"] = General(encode, decode, form)
    strongest = lzma.PRESET_EXTREME | 9
    for name, encode, decode in (
        ("bz2", functools.partial(bz2.compress, compresslevel=9), bz2.decompress),
        ("xz", functools.partial(lzma.compress, preset=strongest), lzma.decompress),
        ("zstd", zstandard.ZstdCompressor(level=22).compress, zstandard.decompress),
    ):
        codecs[name] = General(
            functools.partial(_encode_bytes, white, encode),
            functools.partial(_decode_bytes, white, decode),
            _whole,
        )
    return codecs


def _encode_picture(white: int, kind: str, options: dict[str, Any], pixels: np.ndarray) -> bytes:
    values = pixels * np.uint8(white)
    picture = Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)
    if white == 255 and kind == "PNG":
        picture = picture.convert("1")
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def _decode_picture(white: int, data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        values = np.asarray(picture.convert("RGB"))
    grey = (values == values[..., :1]).all()
    return (values[..., :1] if grey else values) // np.uint8(white)


def _encode_bytes(white: int, encode: Callable[[bytes], bytes], pixels: np.ndarray) -> bytes:
    return encode((np.packbits(pixels) if white == 255 else pixels).tobytes())


def _decode_bytes(white: int, decode: Callable[[bytes], bytes], data: bytes) -> np.ndarray:
    values = np.frombuffer(decode(data), np.uint8)
    return np.unpackbits(values) if white == 255 else values


def _print(settings: CodecsSettings) -> None:
    result = run(settings)
    title = (
        f"{result.images} images; -L_1 {result.bound_bits_per_dim:.5f} bits/dim; initial bits "
        f"{result.initial_bits_per_dim:.5f} bits/dim"
    )
    cells = [
        [r.codec, f"{r.bits_per_dim:.4f}", f"{r.seconds:.2f}", f"{r.decode_seconds:.2f}"]
        for r in result.rows
    ]
    table = sweep.table(["codec", "bits/dim", "seconds", "decoding"], cells)
    sweep.show([title, *table], {row.codec: row.bits_per_dim for row in result.rows})


if __name__ == "__main__":
    start("codecs", CodecsSettings, _print, sets_devices_up=True)
