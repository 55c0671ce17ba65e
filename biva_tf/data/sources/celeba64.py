"""CelebA as 64x64 colour images, cropped as in Larsen et al. 2016.

Rows 40 to 188 and columns 15 to 163 (148x148) of each aligned 218x178 photograph are shrunk to
64x64 with Pillow's bilinear filter. This filter averages over all the pixels that an output pixel
covers, as scipy.misc.imresize, common at the time, did by default.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from biva_tf.data import formats, prepared
from biva_tf.data.preparation import File, Recipe
from biva_tf.data.sources import DataError, Info, Location, Source

INFO = Info((64, 64, 3), train=162_770, validation=19_867, test=19_962)

_ZIP, _PARTITION = "img_align_celeba.zip", "list_eval_partition.txt"
_SPLITS = {"train": "train", "validation": "validation", "test": "test"}


def crop(photograph: np.ndarray) -> np.ndarray:
    """Crops and shrinks a photograph from uint8 [218, 178, 3] to uint8 [64, 64, 3].

    Raises:
      DataError: the photograph has another size.
    """
    if photograph.shape != (218, 178, 3):
        raise DataError(f"celeba64: expected photographs of 218x178x3, got {photograph.shape}")
    face = Image.fromarray(photograph[40:188, 15:163])
    return np.asarray(face.resize((64, 64), Image.Resampling.BILINEAR))


def _partition(path: Path) -> dict[str, list[str]]:
    """The file names of the photographs in each split."""
    names: dict[str, list[str]] = {split: [] for split in _SPLITS}
    try:
        for line in path.read_text().splitlines():
            if line.strip():
                name, number = line.split()
                names[list(_SPLITS)[int(number)]].append(name)
    except (OSError, ValueError, IndexError) as e:
        raise DataError(f"{path}: expected a file name and 0, 1 or 2 per line ({e})") from e
    return names


def _examples(folder: Path):
    names = _partition(folder / _PARTITION)

    def photographs(split: str):
        if (folder / _ZIP).exists():
            return formats.zipped_images(folder / _ZIP, names[split])
        return formats.images([folder / "img_align_celeba" / name for name in names[split]])

    return {split: ((crop(image), label) for image, label in photographs(split)) for split in names}


RECIPE = Recipe(
    files=(
        File(
            "img_align_celeba*",
            "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (img_align_celeba.zip, or the "
            "folder that it unpacks to)",
        ),
        File(
            _PARTITION,
            "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (Eval)",
            "fc955bcb3ef8fbdf7d5640d9a8693a8431b5f2ee291a5c1449a1549e7e073fe7",
        ),
    ),
    examples=_examples,
    counts={"Liu's": INFO.counts},
)


def load(location: Location) -> Source:
    """162,770 training, 19,867 validation and 19,962 test images, in the split of Liu et al."""
    in_tfds = prepared.Prepared("celeb_a", _SPLITS, crop, "64x64")
    return prepared.read("celeba64", location, INFO, in_tfds)
