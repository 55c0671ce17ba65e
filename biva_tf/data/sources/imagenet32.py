"""ImageNet downsampled to 32x32, in colour.

There are two versions. The paper uses the version of van den Oord et al. 2016: PNG archives with
1,281,149 training and 49,999 test images (TFDS: downsampled_imagenet/32x32). The version of
Chrabaszcz et al. 2017, npz files with 1,281,167 and 50,000 images, was shrunk with another filter,
so bits/dim on the two versions are not comparable. Every run reports which version it reads.
"""

import dataclasses
from pathlib import Path

from biva_tf.data import formats, prepared
from biva_tf.data.preparation import File, Recipe
from biva_tf.data.sources import DataError, Info, Location, Source

INFO = Info((32, 32, 3), train=1_281_149, test=49_999)
COUNTS = {
    "van den Oord et al. 2016": INFO.counts,
    "Chrabaszcz et al. 2017": {"train": 1_281_167, "test": 50_000},
}

_ARCHIVES = {"train": "train_32x32.tar", "test": "valid_32x32.tar"}


def _examples(folder: Path):
    batches = sorted(folder.glob("train_data_batch_*.npz"), key=lambda p: (len(p.name), p.name))
    if batches and (folder / "val_data.npz").exists():
        return {
            "train": formats.npz_channels_first(batches, 32),
            "test": formats.npz_channels_first([folder / "val_data.npz"], 32),
        }
    for name in _ARCHIVES.values():
        if not (folder / name).exists():
            raise DataError(
                f"{folder}: expected {name}, or train_data_batch_*.npz and val_data.npz"
            )
    return {split: formats.image_archive(folder / name) for split, name in _ARCHIVES.items()}


RECIPE = Recipe(
    files=(
        File(
            "train_32x32.tar",
            "http://image-net.org/small/",
            "244a323d48f8d72f65ad8b54658c01fed68d2d7bdc77ccb43da58c11e94224e5",
        ),
        File(
            "valid_32x32.tar",
            "http://image-net.org/small/",
            "862e559462b24cf736212a19f6b0d47b55c2dc8ebdaa95ccecfe71260124c8f7",
        ),
        File(
            "*.npz",
            "https://image-net.org/download-images (Imagenet32_train, Imagenet32_val: "
            "train_data_batch_1.npz to _10.npz, val_data.npz), instead of the archives",
        ),
    ),
    examples=_examples,
    counts=COUNTS,
    alternatives=True,
)


def load(location: Location) -> Source:
    """The published validation images are the test split.

    The validation split is cut from the training images.
    """
    splits = {"train": "train", "test": "validation"}
    in_tfds = prepared.Prepared("downsampled_imagenet/32x32", splits)
    source = prepared.read("imagenet32", location, INFO, in_tfds)
    counts = {"train": len(source.train.images), "test": len(source.test.images)}
    version = next((name for name, known in COUNTS.items() if known == counts), "a subset")
    return dataclasses.replace(source, version=version)
