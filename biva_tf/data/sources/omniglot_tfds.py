"""OMNIGLOT in 28x28 grey, made from the 105x105 drawings that TFDS has.

This source is for users who cannot get chardata.mat. Its split and its pixels are not those of
Burda et al. 2015, so results compare only roughly with theirs. The procedure takes all 32,460
drawings (TFDS's train split, then its test split), makes the ink white on black, shrinks the
drawings to 28x28 by averaging over areas, and shuffles them with NumPy's Generator(Philox(0)). The
first 24,345 form the training split, the next 8,070 the test split, and 45 are left over.
"""

import numpy as np
from PIL import Image

from biva_tf.data import prepared
from biva_tf.data.sources import DataError, Info, Location, Source, Split
from biva_tf.errors import Setting

INFO = Info((28, 28, 1), train=24_345, test=8_070, binarize="dynamic")


def shrink(drawing: np.ndarray) -> np.ndarray:
    """Shrinks black ink on white, uint8 [105, 105, 3], to white on black, uint8 [28, 28, 1]."""
    grey = Image.fromarray(255 - drawing[..., 0])
    return np.asarray(grey.resize((28, 28), Image.Resampling.BOX))[..., np.newaxis]


def load(location: Location) -> Source:
    """Loads the source. A smaller copy of the data set is split in the same proportion."""
    splits = {"train": "train", "test": "test"}
    in_tfds = prepared.Prepared("omniglot", splits, shrink, "28x28")
    source = prepared.read("omniglot_tfds", location, INFO, in_tfds)
    images = np.concatenate([source.train.images, source.test.images])
    labels = np.concatenate([source.train.labels, source.test.labels])
    if len(images) < 4:
        dataset = Setting("dataset", "omniglot_tfds")
        raise DataError(dataset, f": expected 32,460 drawings, got {len(images)}")
    order = np.random.Generator(np.random.Philox(0)).permutation(len(images))
    train, test = INFO.counts["train"], INFO.counts["test"]
    if len(images) < train + test:
        train = len(images) * train // (train + test)
    in_train, in_test = order[:train], order[train : train + test]
    return Source(
        train=Split(images[in_train], labels[in_train]),
        test=Split(images[in_test], labels[in_test]),
    )
