"""What a trained model draws, as arrays, and how they are shown: as a picture or as text."""

import numpy as np

from biva_tf import pretrained
from biva_tf.api import BIVA
from biva_tf.data.pipeline import Examples
from biva_tf.data.sources import NotPreparedError
from biva_tf.inference import exploration
from biva_tf.plotting.drawers import Shown, drawer
from biva_tf.runs.run_dir import RunDir

_REACH = 3.0  # of a traversal, in standard deviations
MAX_UNITS = 8  # of a traversal, unless others are asked for

Arrays = dict[str, np.ndarray]  # `images`, float32, and the values along its axes


def prior(
    model: BIVA,
    number: int | None,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    label: int | None = None,
) -> Arrays:
    """Samples of the prior, by default as many as a picture shows.

    Returns:
      `images` [number, *spec.image_shape]; see `BIVA.sample`.

    Raises:
      ValueError: temperature outside [0, 100], or the model has no such class.
    """
    number = number or drawer(model.spec).samples
    samples = model.sample(number, seed=seed, temperature=temperature, label=label)
    return {"images": samples}


def reconstructions(
    model: BIVA, originals: np.ndarray, ks: tuple[int, ...] | None = None, *, seed: int = 0
) -> Arrays:
    """Images, and their reconstructions without the lowest k levels, by default for every k.

    Returns:
      `images` [originals, ks, *spec.image_shape], `k` and `originals`; see
      `exploration.reconstruct`.

    Raises:
      ValueError: images of a wrong shape or range, or a k out of range.
    """
    ks = tuple(range(model.spec.num_levels)) if ks is None else ks
    images = exploration.reconstruct(model, originals, ks, seed=seed)
    return {"images": images, "k": np.array(ks), "originals": originals}


def traversal(
    model: BIVA,
    latent: str | None = None,
    units: tuple[int, ...] | None = None,
    *,
    steps: int = 11,
    image: np.ndarray | None = None,
    seed: int = 0,
) -> Arrays:
    """Images along units of a latent, by default the first ones of the top latent.

    Returns:
      `images` [units, steps, *spec.image_shape], `units`, and the `standard_deviations` [steps],
      from -3 to 3; see `exploration.traverse`.

    Raises:
      ValueError: there is no such latent or unit, or the image is of a wrong shape or range.
    """
    names = [each.name for each in model.spec.latents]
    name = latent or names[-1]
    if units is None:
        size = dict(zip(names, model.latent_shapes, strict=True)).get(name, (1,))[-1]
        units = tuple(range(min(size, MAX_UNITS)))
    values = np.linspace(-_REACH, _REACH, steps)
    images = exploration.traverse(model, name, units, values, image=image, seed=seed)
    return {"images": images, "units": np.array(units), "standard_deviations": values}


def classes(model: BIVA, number: int = 8, *, seed: int = 0, temperature: float = 1.0) -> Arrays:
    """Samples of every class. A column has the same draws in all classes.

    Returns:
      `images` [classes, number, *spec.image_shape] and `labels`; see `exploration.every_class`.

    Raises:
      ValueError: the model has no classes.
    """
    images = exploration.every_class(model, number, seed=seed, temperature=temperature)
    return {"images": images, "labels": np.arange(len(images))}


def test_images(model: BIVA, run_dir: RunDir, data_dir: str | None = None) -> Examples:
    """The test images of the model's own data set.

    Where the data set is not prepared, the first of them, if they ship with the model.

    Args:
      model: the model.
      run_dir: the folder that it is from.
      data_dir: where prepared data sets are; by default where the run looked.

    Raises:
      NotPreparedError: there are none.
      DataError: they are damaged.
    """
    try:
        return model.images(data_dir=data_dir)
    except NotPreparedError:
        shipped = pretrained.examples(run_dir)
        if shipped is None:
            raise
        return shipped


def show(model: BIVA, arrays: Arrays) -> Shown:
    """The images of arrays, beside those that they were made from, as a picture or text.

    Those are `originals` to the left of reconstructions, or `first` and `second` around
    interpolations.
    """
    images = arrays["images"]
    if "originals" in arrays:
        images = np.concatenate([arrays["originals"][:, np.newaxis], images], axis=1)
    elif "first" in arrays:
        ends = (arrays["first"][:, np.newaxis], arrays["second"][:, np.newaxis])
        images = np.concatenate([ends[0], images, ends[1]], axis=1)
    return drawer(model.spec).show(images, model.training.vocabulary)
