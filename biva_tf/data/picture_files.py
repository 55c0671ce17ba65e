"""Writes images to files that `reading` reads, without loss: a folder of pictures, or .npz."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from biva_tf.data.sources import DataError
from biva_tf.files import naming, temporary_beside, write_atomically


def is_npz(path: Path) -> bool:
    """Whether a path is that of an .npz file; else it is a folder."""
    return path.suffix == ".npz"


def write(path: Path, images: np.ndarray) -> None:
    """Writes images, all of them or none.

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
