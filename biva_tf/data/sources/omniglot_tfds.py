"""OMNIGLOT in 28x28 grey made from the 105x105 drawings that TFDS has.

Where chardata.mat is not to be had. Not the split or the pixels of Burda et al. 2015, so numbers
compare with theirs only roughly. The procedure: all 32,460 drawings (TFDS's train, then its test),
ink made white on black, averaged down to 28x28 by area, shuffled by NumPy's Generator(Philox(0));
the first 24,345 are to train, the next 8,070 to test, and 45 are left over.
"""

import numpy as np
from PIL import Image

from biva_tf.data import prepared
from biva_tf.data.sources import DataError, Info, Location, Source, Split

INFO = Info((28, 28, 1), train=24_345, test=8_070, binarize="dynamic")


def shrink(drawing: np.ndarray) -> np.ndarray:
    """A drawing, uint8 [105, 105, 3], black on white, to uint8 [28, 28, 1], white on black."""
    grey = Image.fromarray(255 - drawing[..., 0])
    return np.asarray(grey.resize((28, 28), Image.Resampling.BOX))[..., np.newaxis]


def load(location: Location) -> Source:
    """See above. Of a smaller copy of the data set, the same share is to train."""
    splits = {"train": "train", "test": "test"}
    in_tfds = prepared.Prepared("omniglot", splits, shrink, "28x28")
    source = prepared.read("omniglot_tfds", location, INFO, in_tfds)
    images = np.concatenate([source.train.images, source.test.images])
    labels = np.concatenate([source.train.labels, source.test.labels])
    if len(images) < 4:
        raise DataError(f"--dataset=omniglot_tfds: expected 32,460 drawings, got {len(images)}")
    order = np.random.Generator(np.random.Philox(0)).permutation(len(images))
    train, test = INFO.train, INFO.test
    if len(images) < train + test:
        train = len(images) * train // (train + test)
    ours, theirs = order[:train], order[train : train + test]
    return Source(Split(images[ours], labels[ours]), Split(images[theirs], labels[theirs]))
