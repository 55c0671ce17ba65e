"""Grey images (0 to 255) as the model reads them: binarised in one of four ways, or as they are."""

import numpy as np

MODES = ("none", "threshold", "bernoulli", "dynamic")
_THRESHOLD = 127


def fixed(images: np.ndarray, mode: str, seed: int) -> np.ndarray:
    """Images that do not change between visits: an evaluation split, or a static training split.

    Args:
      images: uint8 [n, height, width, channels].
      mode: "none": value / 255; "threshold": 1 above 127, else 0; "bernoulli" and "dynamic": 1 with
        probability value / 255, drawn once from `seed`.
      seed: of the draws.

    Returns:
      float32 in [0, 1], of the same shape.
    """
    if mode == "none":
        return images.astype(np.float32) / np.float32(255)
    if mode == "threshold":
        return (images > _THRESHOLD).astype(np.float32)
    return draw(images, np.random.Generator(np.random.Philox(seed)))


def draw(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each pixel 1 with probability value / 255, float32."""
    return (rng.random(images.shape, np.float32) * 255 < images).astype(np.float32)
