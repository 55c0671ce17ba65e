"""Images in files of a user, without loss: a folder of pictures, or an .npz or .npy file."""

import io
import os
import shutil
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from biva_tf.data import formats
from biva_tf.data.sources import DataError
from biva_tf.files import naming, temporary_beside, write_atomically

_MODES = ("1", "L", "P", "RGB")  # Pillow's modes of 8 bits without transparency


def is_npz(path: Path) -> bool:
    """Whether a path is that of an .npz file; else it is a folder."""
    return path.suffix == ".npz"


def is_given(path: Path) -> bool:
    """Whether a path is one that `read` takes."""
    return path.suffix in (".npz", ".npy") or path.is_dir()


def read(path: Path, channels: int) -> np.ndarray:
    """The images in a file or a folder.

    Args:
      path: an .npz file with the array `images`; an .npy file; or a folder of pictures of one size,
        whose order is that of their paths.
      channels: that the images have. Pictures are read as grey if it is 1.

    Returns:
      [n, height, width, channels]: of a folder uint8, of a file the array.

    Raises:
      DataError: a file is missing or is not what was expected; the message names it.
    """
    if is_npz(path):
        with formats.reading(path, "an .npz file with the array `images`"), np.load(path) as file:
            return file["images"]
    if path.suffix == ".npy":
        with formats.reading(path, "an .npy file"):
            return np.load(path)
    paths = formats.image_paths(path)
    if not paths:
        raise DataError(f"{path}: expected a folder of pictures, found none")
    images = [picture(file, str(file), channels) for file in paths]
    for file, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise DataError(
                f"{file}: expected a picture of the size of {paths[0].name}, {images[0].shape}, "
                f"got {image.shape}"
            )
    return np.stack(images)


def write(path: Path, images: np.ndarray) -> None:
    """Writes images where `read` finds them, all of them or none.

    Args:
      path: an .npz file, or a folder of pictures that does not exist or is empty.
      images: [n, height, width, 1 or 3], uint8, or float32 in [0, 1], which is kept in an .npz
        file. In pictures the greatest value is white.

    Raises:
      DataError: the folder has files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_npz(path):
        content = io.BytesIO()
        np.savez_compressed(content, images=images)
        write_atomically(path, content.getvalue())
        return
    check_empty(path)
    temporary = temporary_beside(path)
    try:
        with naming(path):
            temporary.mkdir()
            greatest = 1 if images.dtype != np.uint8 or images.max(initial=0) <= 1 else 255
            digits = max(5, len(str(len(images) - 1)))
            for number, image in enumerate(images):
                pixels = np.round(image * (255 / greatest)).astype(np.uint8)
                picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
                picture.save(temporary / f"{number:0{digits}}.png")
            os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def check_empty(path: Path) -> None:
    """Raises DataError if a folder to write pictures to has files, or is one."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DataError(f"{path}: expected a new or an empty folder for pictures")


def picture(file: Path | BinaryIO, name: str, channels: int) -> np.ndarray:
    """The pixels of a picture, uint8 [height, width, channels].

    Args:
      file: its path, or its content.
      name: the picture's name, for messages.
      channels: 1 for a grey picture, or 3.

    Raises:
      DataError: the file is not a picture, or is of another kind.
    """
    with formats.reading(name, "a picture"), Image.open(file) as opened:
        if opened.mode not in _MODES:
            modes = ", ".join(_MODES)
            raise DataError(f"{name}: expected a picture of mode {modes}, got {opened.mode}")
        pixels = np.asarray(opened.convert("RGB"))
    if channels == 3:
        return pixels
    if not (pixels == pixels[..., :1]).all():
        raise DataError(f"{name}: expected a grey picture, got one in colour")
    return pixels[..., :1]
