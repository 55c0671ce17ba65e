"""Gives compressed images back: python -m biva_tf.decompress --pretrained=NAME --input=F.biva ...

The model is the one that `biva_tf.compress` was given. --output is an .npz file, whose array
`images` has the dtype and the values of the images that were compressed, or a new folder of PNG
files, numbered in their order. Nothing is written of a damaged file, unless --keep_good asks for
the images of the blocks before the damage. The last line is one JSON object.
"""

import dataclasses
import functools
import json
import time
from pathlib import Path

import numpy as np

from biva_tf.commands.model import ModelSettings
from biva_tf.commands.outputs import check_file, check_place
from biva_tf.commands.start import compute_with_threads, start
from biva_tf.compression.container import Reader
from biva_tf.compression.errors import BlockError, CompressionError
from biva_tf.compression.header import Header
from biva_tf.data import picture_files
from biva_tf.errors import SettingsError
from biva_tf.settings import required, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecompressSettings(ModelSettings):
    """The settings of `python -m biva_tf.decompress`."""

    input: str = required("The compressed file.", path=True)
    output: str = required("An .npz file, or a folder for PNG files.", path=True)
    keep_good: bool = setting(
        False, "Of a damaged file, write the images of the blocks before the damage."
    )

    def check_files(self) -> None:
        """Raises UserError if there is no model or input, or the images cannot be written."""
        super().check_files()
        if picture_files.is_npz(Path(self.output)):
            check_file("output", self.output, self.input)
        else:
            check_place("output", self.output)
            picture_files.check_empty(Path(self.output))
        self.read()

    def read(self) -> tuple[bytes, Header]:
        """The compressed file, and its header. UserError if it cannot be read or is damaged."""
        return self._file

    @functools.cached_property  # it is asked for before TensorFlow starts, and after
    def _file(self) -> tuple[bytes, Header]:
        try:
            data = Path(self.input).read_bytes()
        except OSError as e:
            raise SettingsError(
                f"--input={self.input}: expected a compressed file, it cannot be read: {e.strerror}"
            ) from e
        try:
            reader = Reader(data)
            if not self.keep_good:
                reader.check()
        except CompressionError as e:
            raise CompressionError(f"--input={self.input}: {e}") from e
        return data, reader.header


@dataclasses.dataclass(frozen=True)
class Decompressed:
    """Images that came back.

    Attributes:
      path: where they are.
      images: as they were compressed.
      seconds: that decompressing took, without reading the model and without writing.
    """

    path: Path
    images: np.ndarray
    seconds: float


def run(settings: DecompressSettings) -> Decompressed:
    """Decompresses images.

    Raises:
      UserError: the model, the file or a setting does not fit, or the file is damaged; the message
        says why. Nothing is written then; with `keep_good`, the images before the damage are.
    """
    settings.check_files()
    output = Path(settings.output)
    data, header = settings.read()
    from biva_tf.compression.codec import Codec

    try:
        compute_with_threads(header.threads)
        codec, start_time = Codec(settings.load()), time.perf_counter()
        images = codec.decompress(data)
        seconds = time.perf_counter() - start_time
    except BlockError as e:
        message = f"--input={settings.input}: {e}"
        if settings.keep_good and len(e.images):
            picture_files.write(output, e.images)
            message += f"; the {len(e.images)} images before it are in {output}"
        raise CompressionError(message) from e
    except CompressionError as e:
        raise CompressionError(f"--input={settings.input}: {e}") from e
    picture_files.write(output, images)
    return Decompressed(output, images, seconds)


def _print(settings: DecompressSettings) -> None:
    result = run(settings)
    print(f"{result.path}: {len(result.images)} images")
    print(json.dumps({"images": len(result.images), "seconds": round(result.seconds, 3)}))


def main() -> None:
    """Runs the command with the flags that it was given."""
    start("decompress", DecompressSettings, _print, sets_devices_up=True)


if __name__ == "__main__":
    main()
