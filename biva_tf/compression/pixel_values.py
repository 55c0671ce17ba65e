"""Images as pixels, integers from 0, and back to the values that they came with."""

import numpy as np

from biva_tf.compression.errors import CompressionError
from biva_tf.compression.header import PixelForm
from biva_tf.model.spec import ModelSpec


def number_of_values(spec: ModelSpec) -> int:
    """The number of values that a pixel of the model can have."""
    return 2 if spec.likelihood.binary else 256


def from_images(images: np.ndarray, spec: ModelSpec) -> tuple[np.ndarray, PixelForm]:
    """The pixels of images, uint8 of their shape, and their form.

    Args:
      images: [n >= 1, *spec.image_shape]: uint8, or floats in [0, 1]. Of a binary model all values
        are the least or the greatest; uint8 images may also be of 0 and 1. Else, floats are
        multiples of 1/255.
      spec: the model's spec.

    Raises:
      CompressionError: images of a wrong shape or with other values.
    """
    images = np.ascontiguousarray(images)
    if images.shape[1:] != spec.image_shape or not len(images):
        expected = ", ".join(map(str, spec.image_shape))
        raise CompressionError(f"images: expected shape [n >= 1, {expected}], got {images.shape}")
    greatest = number_of_values(spec) - 1
    if images.dtype == np.uint8:
        if greatest == 255:
            return images, PixelForm.BYTES
        form = PixelForm.BITS if images.max() <= 1 else PixelForm.BYTES
        pixels = images if form is PixelForm.BITS else images // 255
    else:
        form, images = PixelForm.UNIT, images.astype(np.float32)
        pixels = np.round(np.clip(np.nan_to_num(images), 0, 1) * greatest).astype(np.uint8)
    wrong = to_images(pixels, spec, form) != images
    if wrong.any():
        values = "0 and the greatest value" if greatest == 1 else "multiples of 1/255"
        place = int(np.flatnonzero(wrong.reshape(len(images), -1).any(axis=1))[0])
        got = images[place][wrong[place]][0]
        raise CompressionError(
            f"images: expected {values} for this model, got {got} in image {place}"
        )
    return pixels, form


def to_images(pixels: np.ndarray, spec: ModelSpec, form: PixelForm) -> np.ndarray:
    """The images of pixels, in a form: float32 or uint8."""
    greatest = number_of_values(spec) - 1
    match form:
        case PixelForm.UNIT:
            return pixels.astype(np.float32) / np.float32(greatest)
        case PixelForm.BYTES:
            return pixels * np.uint8(255 // greatest)
        case PixelForm.BITS:
            return pixels
