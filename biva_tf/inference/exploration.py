"""What the latents hold: encodings, reconstructions, interpolations, traversals, levels.

Each is the model's two passes under another plan. Images have the values of the likelihood: [0, 1],
real numbers, or ids of tokens.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from biva_tf.inference import chunks, sampling
from biva_tf.inference.scoring import check_images
from biva_tf.model import assignments, plans
from biva_tf.model.assignments import Assignment
from biva_tf.model.network import Network, Output
from biva_tf.model.noise import (
    ConstantNoise,
    GatheredNoise,
    Noise,
    NoNoise,
    SameNoise,
    SeededNoise,
    prior_stream,
)
from biva_tf.model.spec import LatentSpec
from biva_tf.ranges import Numbers, require

_MAX_ROWS = 64  # in memory at once


def encode(model: Network, images, *, seed: int | None = None) -> dict[str, np.ndarray]:
    """See `BIVA.encode`.

    Args:
      model, images: as there.
      seed: the seed of draws from the posteriors; None takes their modes.
    """
    images = check_images(images, model.spec)

    def rows(first: int, stop: int) -> dict[str, np.ndarray]:
        noise = NoNoise() if seed is None else SeededNoise(seed, first)
        values = posterior_values(model, images[first:stop], noise)
        return {name: value.numpy() for name, value in values.items()}

    return chunks.concat_on_host(rows, len(images), _MAX_ROWS)


def posterior_values(model: Network, images: tf.Tensor, noise: Noise) -> dict[str, tf.Tensor]:
    """The latents of images by name, and with classes "y"; in a graph, too."""
    output = model(images, noise=noise)
    names = [latent.name for latent in model.spec.latents]
    values = {name: stats.z for name, stats in zip(names, output.latents, strict=True)}
    return values if output.y is None else {**values, "y": output.y}


def value_shapes(model: Network) -> dict[str, tuple[int, ...]]:
    """The shape of a row of each of `posterior_values`."""
    names = [latent.name for latent in model.spec.latents]
    shapes = dict(zip(names, model.latent_shapes, strict=True))
    return {**shapes, **model.spec.class_shape}


def decode(model: Network, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """See `BIVA.decode`."""
    shapes = value_shapes(model)
    if values.keys() != shapes.keys():
        raise ValueError(f"latents: expected {', '.join(shapes)}, got {', '.join(values)}")
    given = {name: np.asarray(values[name], np.float32) for name in shapes}
    number = len(given[next(iter(shapes))])
    for name, shape in shapes.items():
        if given[name].shape != (number, *shape) or not number:
            row = ", ".join(map(str, shape))
            raise ValueError(
                f"{name}: expected shape [rows >= 1, {row}], the same rows for every latent, got "
                f"{given[name].shape}"
            )
        if not np.isfinite(given[name]).all():
            raise ValueError(f"{name}: expected finite numbers")

    def rows(first: int, stop: int) -> np.ndarray:
        chunk = {name: tf.constant(value[first:stop]) for name, value in given.items()}
        return images_of(model, chunk, stop - first).numpy()

    return chunks.concat_on_host(rows, number, _MAX_ROWS)


def images_of(model: Network, values: Mapping[str, tf.Tensor], rows: int | tf.Tensor) -> tf.Tensor:
    """The images of latents by name, [rows, *spec.image_shape]; in a graph, too."""
    noise = SameNoise(SeededNoise(0))
    plan = tuple(plans.Given(values[latent.name]) for latent in model.spec.latents)
    classes = Assignment(values["y"]) if "y" in values else None
    output = model.top_down(None, plan, noise, rows=rows, classes=classes)
    return model.likelihood.image(output.px, noise)


def reconstruct(model: Network, images, ks: Sequence[int], *, seed: int = 0) -> np.ndarray:
    """Images from their latents of levels > k, the rest at their prior's mode.

    Args:
      images: [images, *spec.image_shape].
      ks: 0 uses all latents, L-1 the top one alone.
      seed: the seed of the draws from the posterior; the same for every k.

    Returns:
      [images, ks, *spec.image_shape].

    Raises:
      ValueError: images of a wrong shape or range, or a k out of range.
    """
    images = check_images(images, model.spec)

    def rows(first: int, stop: int) -> np.ndarray:
        columns = from_the_top(model, images[first:stop], ks, SeededNoise(seed, first))
        return np.stack(columns, axis=1)

    return chunks.concat_on_host(rows, len(images), _MAX_ROWS)


def from_the_top(
    model: Network, images: tf.Tensor, ks: Sequence[int | tf.Tensor], noise: Noise
) -> list[tf.Tensor]:
    """Reconstructions for each k, which may be a scalar tensor, each [rows, *spec.image_shape]."""
    features = model.bottom_up(model.image_features(images, noise), noise)
    outputs = [model.top_down(features, plans.prior_mode_up_to(model.spec, k), noise) for k in ks]
    return [model.likelihood.reconstruction(output.px, noise) for output in outputs]


def samples_by_level(
    model: Network, num_samples: int, *, seed: int = 0, temperature: float = 1.0
) -> np.ndarray:
    """Samples that show what each level adds: levels > k drawn, the rest at their prior's mode.

    Returns:
      [num_samples, L, *spec.image_shape], for k = L-1, where only the top latent is
      drawn, to 0, where all are.

    Raises:
      ValueError: num_samples < 1, or temperature outside [0, 100].
    """
    sampling.check_arguments(num_samples, temperature)

    def rows(first: int, stop: int) -> np.ndarray:
        noise = SeededNoise(seed, first)
        columns = []
        for k in reversed(range(model.spec.num_levels)):
            plan = plans.prior_above(model.spec, k, temperature)
            output = model.top_down(None, plan, noise, rows=stop - first)
            columns.append(_images(model, output, noise))
        return np.stack(columns, axis=1)

    return chunks.concat_on_host(rows, num_samples, _MAX_ROWS)


def every_class(
    model: Network, num_samples: int, *, seed: int = 0, temperature: float = 1.0
) -> np.ndarray:
    """Samples of every class. A column has the same draws in all classes, so that it keeps a style.

    Returns:
      [classes, num_samples, *spec.image_shape] in [0, 1].

    Raises:
      ValueError: the model has no classes.
    """
    number = model.spec.require_classes().number

    def rows(first: int, stop: int) -> np.ndarray:
        noise, count = SeededNoise(seed, first), stop - first
        every = assignments.every_class(tf.range(count), number)
        plan = plans.prior(model.spec, temperature)
        output = model.top_down(None, plan, noise, rows=count, classes=every)
        images = _images(model, output, GatheredNoise(noise, count, every.rows))
        return images.reshape(number, count, *model.spec.image_shape).swapaxes(0, 1)

    columns = chunks.concat_on_host(rows, num_samples, max(1, _MAX_ROWS // number))
    return columns.swapaxes(0, 1)


def interpolate(
    model: Network, first, second, steps: int, *, k: int = 0, seed: int = 0
) -> np.ndarray:
    """Images between two images, as `BIVA.interpolate` describes them."""
    require("steps", steps, Numbers(int, lower=2))
    plans.prior_mode_up_to(model.spec, k)  # raises if there is no such k
    ends = [check_images(images, model.spec) for images in (first, second)]
    pairs, others = map(len, ends)
    if pairs != others:
        raise ValueError(f"second: expected {pairs} images, as many as in first, got {others}")
    output = _posterior(model, np.concatenate(ends), seed)
    plan: list[plans.LatentSource] = []
    for latent, stats in zip(model.spec.latents, output.latents, strict=True):
        if latent.level <= k:
            plan.append(plans.PriorMode())
        else:
            a, b = np.split(stats.z.numpy(), 2)
            path = [_great_circle(a, b, t) for t in np.linspace(0.0, 1.0, steps)]
            plan.append(plans.Given(np.concatenate(path)))
    noise = SeededNoise(seed)
    classes = None
    if output.y is not None:
        a, b = np.split(output.y.numpy(), 2)
        mixed = [(1 - t) * a + t * b for t in np.linspace(0.0, 1.0, steps)]
        classes = Assignment(tf.constant(np.concatenate(mixed), tf.float32))
    decoded = model.top_down(None, tuple(plan), noise, rows=pairs * steps, classes=classes)
    shape = (steps, pairs, *model.spec.image_shape)
    images = model.likelihood.reconstruction(decoded.px, SameNoise(noise)).numpy()
    return images.reshape(shape).swapaxes(0, 1)


def traverse(
    model: Network,
    latent_name: str,
    units: Sequence[int],
    values: Sequence[float] | np.ndarray,
    *,
    image=None,
    seed: int = 0,
) -> np.ndarray:
    """Images along single units of a latent. All other latents of its level and above are fixed.

    The latents below are at their prior's mode, so that they follow the unit.

    Args:
      latent_name: such as "z3".
      units: the indices of units of a dense latent, or of channels of a map.
      values: the values of the unit, in standard deviations from its prior's mean; of a prior that
        is not Gaussian, the standard normal numbers of the draw.
      image: [*spec.image_shape] to start from; by default a sample of the prior.
      seed: the seed of the draws.

    Returns:
      [units, values, *spec.image_shape].

    Raises:
      ValueError: there is no such latent or unit, a value is not finite, or the
        image is of a wrong shape or range.
    """
    index, latent = _find(model, latent_name)
    size = model.latent_shapes[index][-1]
    for unit in units:
        require("unit", unit, Numbers(int, lower=0, upper=size - 1))
    for value in values:
        require("value", value, Numbers(float))
    noise = SeededNoise(seed)
    if image is None:
        base = model.top_down(None, plans.prior(model.spec), noise, rows=1)
    else:
        base = _posterior(model, np.asarray(image)[np.newaxis], seed)
    rows = len(units) * len(values)
    plan: list[plans.LatentSource] = []
    for other, stats in zip(model.spec.latents, base.latents, strict=True):
        z = tf.repeat(stats.z, rows, axis=0)
        if other.level < latent.level:
            plan.append(plans.PriorMode())
        elif other != latent:
            plan.append(plans.Given(z))
        else:
            moved = z.numpy().copy()
            for j, value in enumerate(values):
                at = ConstantNoise(value, noise).draw(stats.p, prior_stream(other.name)).numpy()
                for i, unit in enumerate(units):
                    moved[i * len(values) + j, ..., unit] = at[0, ..., unit]
            plan.append(plans.Given(moved))
    classes = None if base.y is None else Assignment(tf.repeat(base.y, rows, axis=0))
    decoded = model.top_down(None, tuple(plan), noise, rows=rows, classes=classes)
    shape = (len(units), len(values), *model.spec.image_shape)
    return model.likelihood.reconstruction(decoded.px, SameNoise(noise)).numpy().reshape(shape)


def _find(model: Network, name: str) -> tuple[int, LatentSpec]:
    for index, latent in enumerate(model.spec.latents):
        if latent.name == name:
            return index, latent
    names = ", ".join(latent.name for latent in model.spec.latents)
    raise ValueError(f"latent: expected one of {names}, got {name!r}")


def _posterior(model: Network, images: np.ndarray, seed: int) -> Output:
    images = check_images(images, model.spec)
    return model(images, plan=plans.posterior(model.spec), noise=SeededNoise(seed))


def _images(model: Network, output: Output, noise: Noise) -> np.ndarray:
    return model.likelihood.image(output.px, noise).numpy()


def _great_circle(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """The point at t on the way from a (t = 0) to b (t = 1), row by row."""
    flat_a, flat_b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    lengths = [np.linalg.norm(flat, axis=1, keepdims=True) for flat in (flat_a, flat_b)]
    unit_a, unit_b = flat_a / lengths[0], flat_b / lengths[1]
    angle = np.arccos(np.clip((unit_a * unit_b).sum(axis=1, keepdims=True), -1, 1))
    sine = np.sin(angle)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.sin((1 - t) * angle) / sine, np.sin(t * angle) / sine
    # Equal or opposite directions span no great circle: go along the line.
    straight = (sine < 1e-4) | ~np.isfinite(sine)
    weight_a, weight_b = (
        np.where(straight, w, s) for w, s in zip((1 - t, t), weights, strict=True)
    )
    length = (1 - t) * lengths[0] + t * lengths[1]
    return (length * (weight_a * unit_a + weight_b * unit_b)).reshape(a.shape).astype(np.float32)
