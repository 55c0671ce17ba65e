"""Compresses images without loss: python -m biva_tf.compress --pretrained=NAME --input=mnist_10k

The file is about as long as the model's bound says (bits-back coding, `biva_tf.compression`), and
`biva_tf.decompress` gives the images back bit for bit. --input is a data set, whose test split is
taken as the model reads it, or images in files: a folder of pictures, an .npy, .npz or Parquet
file. Prints the length of the file and its parts and, on the last line, one JSON object.
"""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from biva_tf.commands.model import ModelSettings
from biva_tf.commands.outputs import check_file
from biva_tf.commands.start import compute_with_threads, start
from biva_tf.compression.errors import CompressionError
from biva_tf.compression.options import Options
from biva_tf.data import pipeline
from biva_tf.data.reading import inputs
from biva_tf.data.reading.inputs import Reading
from biva_tf.data.reading.notes import ReadingNotes
from biva_tf.errors import Setting, SettingsError
from biva_tf.files import write_atomically
from biva_tf.settings import required, setting

if TYPE_CHECKING:
    from biva_tf.api import BIVA
    from biva_tf.compression.codec import Compressed


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompressSettings(ModelSettings):
    """The settings of `python -m biva_tf.compress`."""

    input: str = required(
        "A data set; or a folder of pictures, an .npz, .npy or .parquet file; or a pattern of "
        "them.",
        path=True,
    )
    output: str = required("The compressed file.", path=True)
    verify: bool = setting(True, "Decompress the result and compare, before it is written.")
    batch: int = setting(
        Options.rows, "Images that the model sees at once.", lower=1, upper=2**16 - 1
    )
    block: int = setting(
        Options.block,
        "Images per block: what is lost with a flipped bit begins there.",
        lower=1,
        upper=2**32 - 1,
    )
    seed: int = setting(Options.seed, "Seed of the initial bits.", lower=0, upper=2**32 - 1)
    reading: Reading = dataclasses.field(default_factory=Reading)
    data_dir: str | None = setting(
        None, "The folder of prepared data sets; by default the one that the run used."
    )

    def check_files(self) -> None:
        """Raises UserError if there is no model, or the compressed file cannot be written."""
        super().check_files()
        check_file("output", self.output, self.input)


@dataclasses.dataclass(frozen=True)
class Written:
    """A file of compressed images.

    Attributes:
      path: the file's path.
      compressed: the file's contents.
      dims: the number of pixels times channels of all images.
      seconds: that compressing took, without the verification and without reading.
    """

    path: Path
    compressed: Compressed
    dims: int
    seconds: float


def run(settings: CompressSettings) -> Written:
    """Compresses images.

    Raises:
      UserError: the model, the images or a setting does not fit; the message says why. Nothing is
        written then.
    """
    settings.check_files()
    from biva_tf.compression.codec import Codec

    compute_with_threads(1)
    model = settings.load()
    try:
        codec = Codec(model)
    except CompressionError as e:
        raise CompressionError(Setting("model_dir", settings.model_dir), ": ", e) from e
    images = _images(settings, model)
    options = Options(settings.batch, settings.block, settings.seed)
    try:
        start_time = time.perf_counter()
        compressed = codec.compress(images, options)
        seconds = time.perf_counter() - start_time
        if settings.verify:
            codec.verify(compressed.data, images)
    except CompressionError as e:
        raise CompressionError(f"--input={settings.input}: {e}") from e
    output = Path(settings.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, compressed.data)
    return Written(output, compressed, images.size, seconds)


def _images(settings: CompressSettings, model: BIVA) -> np.ndarray:
    if inputs.exists(settings.input):
        notes = ReadingNotes()
        try:
            images, bits = inputs.images(
                settings.input, settings.reading, model.spec.image_shape, notes
            )
        finally:
            notes.say()
        # They come back as they were.
        return images // 255 if bits else images
    if settings.input not in pipeline.names():
        raise SettingsError(
            f"--input={settings.input}: expected a folder, a file of images or a data set, one of "
            f"{', '.join(pipeline.names())}"
        )
    return model.images(settings.input, data_dir=settings.data_dir)[:]


def _print(settings: CompressSettings) -> None:
    written = run(settings)
    compressed, dims = written.compressed, written.dims
    size = 8 * len(compressed.data)
    parts = {
        "images": compressed.stack_bits - compressed.initial_bits,
        "initial bits": compressed.initial_bits,
        "headers": size - compressed.stack_bits,
    }
    print(
        f"{written.path}: {compressed.images} images in {len(compressed.data)} bytes; "
        f"{compressed.stored_batches} of {compressed.batches} batches stored as pixels"
    )
    for name, bits in (*parts.items(), ("all", size)):
        print(f"  {name:<14}{bits:>12} bits {bits / dims:>9.5f} bits/dim")
    result = {
        "images": compressed.images,
        "bytes": len(compressed.data),
        "bits_per_dim": size / dims,
        "initial_bits": compressed.initial_bits,
        "batches": compressed.batches,
        "stored_batches": compressed.stored_batches,
        "seconds": round(written.seconds, 3),
    }
    print(json.dumps(result))


def main() -> None:
    """Runs the command with the flags that it was given."""
    start("compress", CompressSettings, _print, sets_devices_up=True)


if __name__ == "__main__":
    main()
