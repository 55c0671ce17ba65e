"""The signatures of an exported model: graphs that need no Python to run.

    sample        num_samples, temperature, seed -> images, images_png
    sample_png    the same -> images_bytes (TF Serving's REST API encodes outputs of this suffix)
    score         images, k, num_importance_samples, seed -> bounds and their terms, per image
    score_png     the same from images_png
    score_numbered  as score, with a number of each image, by which it has its noise: the scores of
                  a data set do not depend on how it was cut into requests
    reconstruct   images, levels, seed -> images
    encode        images -> the mean of each latent's posterior
    decode        a value of each latent -> images

A model with classes has a `label` as an input of `sample` (-1 for any), y as an output of `encode`
and an input of `decode`, and one more signature:

    classify      images, num_samples, seed -> q(y|x), the most probable label

All answers are finite numbers, which JSON can hold and any threshold can be compared with. Where
float32 overflows, in an image that is very unlike the training data, a bound is -3.4e38, the least
float32, and bits/dim, a KL and LLR^{>k} are 3.4e38; q(y|x) is then p(y), and a pixel or a latent
that is not a number is 0.

Each checks its inputs inside the graph, and refuses requests beyond the `Limits`. A seed is a
tensor (s, 0) of shape [2], for the seed s of the Python API. The passes are the model's.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from biva_tf.data.grey import GreyRule
from biva_tf.inference import (
    chunks,
    classification,
    exploration,
    objectives,
    sampling,
    score_graph,
)
from biva_tf.model.network import Network
from biva_tf.model.noise import NoNoise, SeededNoise
from biva_tf.nn import weight_norm
from biva_tf.nn.weight_norm import NormalisedWeights
from biva_tf.serving import pictures
from biva_tf.serving.graph_checks import checked, of_two, shape_text
from biva_tf.serving.limits import Limits

Tensors = dict[str, tf.Tensor]


def module(
    model: Network, limits: Limits, grey: GreyRule | None
) -> tuple[tf.Module, dict[str, Callable]]:
    """The arguments of `tf.saved_model.save`: a module with the weights, and the signatures.

    Args:
      model: the model.
      limits: what the signatures refuse to compute.
      grey: how a binary model reads grey pictures; None if it takes none.

    The module holds bare variables: with Keras layers in it, the export would load in Python but
    not in the C++ loader that TF Serving uses. It holds the normalised weights, so that no request
    has to normalise them.
    """
    result = tf.Module()
    normalised = [tf.Variable(w) for w, _ in model.fixed_weights.read()]
    layers = weight_norm.layers_of([model])
    biases = [layer.b.value for layer in layers]
    of_layers = {id(weight) for layer in layers for weight in layer.weights}
    others = [weight.value for weight in model.weights if id(weight) not in of_layers]
    result.weights = biases + normalised + others
    with model.fixed_weights.used([NormalisedWeights(w) for w in normalised]):
        return result, _Signatures(model, limits, grey).all()


@dataclasses.dataclass(frozen=True)
class _Signatures:
    model: Network
    limits: Limits
    grey: GreyRule | None

    def all(self) -> dict[str, Callable]:
        """The concrete functions by their names."""
        num_samples = tf.TensorSpec([], tf.int32, "num_samples")
        temperature = tf.TensorSpec([], tf.float32, "temperature")
        seed = tf.TensorSpec([None], tf.int32, "seed")
        # The sizes are left open here: a server feeds tensors without checking them, and with given
        # sizes TensorFlow might simplify the graph's own checks away.
        images = tf.TensorSpec([None] * 4, tf.float32, "images")
        images_png = tf.TensorSpec([None], tf.string, "images_png")
        numbers = tf.TensorSpec([None], tf.int64, "numbers")
        samples = tf.TensorSpec([], tf.int32, "num_importance_samples")
        k, levels = (tf.TensorSpec([], tf.int32, name) for name in ("k", "levels"))
        values = {
            name: tf.TensorSpec([None] * (1 + len(shape)), tf.float32, name)
            for name, shape in exploration.value_shapes(self.model).items()
        }
        label: tuple[tf.TensorSpec, ...] = ()
        if self.model.spec.classes is not None:
            label = (tf.TensorSpec([], tf.int32, "label"),)
        sample = _trace(self.sample, num_samples, temperature, seed, *label)
        score_numbered = _trace(self.score, images, numbers, k, samples, seed)

        # These call the graphs of the others instead of having passes of their own.
        def score(images, k, num_importance_samples, seed) -> Tensors:
            numbers = tf.range(tf.shape(images, tf.int64)[0])
            return score_numbered(images, numbers, k, num_importance_samples, seed)

        score = _trace(score, images, k, samples, seed)

        def sample_png(num_samples, temperature, seed, *label) -> Tensors:
            return {"images_bytes": sample(num_samples, temperature, seed, *label)["images_png"]}

        def score_png(images_png, k, num_importance_samples, seed) -> Tensors:
            return score(self._decoded(images_png), k, num_importance_samples, seed)

        traced = {
            "sample": sample,
            "sample_png": _trace(sample_png, num_samples, temperature, seed, *label),
            "score": score,
            "score_numbered": score_numbered,
            "score_png": _trace(score_png, images_png, k, samples, seed),
            "reconstruct": _trace(self.reconstruct, images, levels, seed),
            "encode": _trace(self.encode, images),
            "decode": _trace(self.decode, **values),
        }
        if label:
            traced["classify"] = _trace(self.classify, images, num_samples, seed)
        return {"serving_default": sample, **traced}

    def sample(self, num_samples, temperature, seed, label=None) -> Tensors:
        seed = of_two(seed, "seed")
        most, hottest = self.limits.max_samples, self.limits.max_temperature
        num_samples = checked(
            num_samples,
            (num_samples >= 1) & (num_samples <= most),
            f"num_samples: expected 1 to {most}, got {{}}",
            num_samples,
        )
        temperature = checked(
            temperature,
            (temperature >= 0) & (temperature <= hottest),  # not of a NaN
            f"temperature: expected 0 to {hottest:g}, got {{}}",
            temperature,
        )
        if label is not None:
            number = self.model.spec.num_classes
            label = checked(
                label,
                (label >= -1) & (label < number),
                f"label: expected -1 to {number - 1}, got {{}}",
                label,
            )
        images = _finite(sampling.draw(self.model, num_samples, temperature, seed, label))
        return {"images": images, "images_png": _png(images)}

    def score(self, images, numbers, k, num_importance_samples, seed) -> Tensors:
        seed = of_two(seed, "seed")
        images = self._checked_images(images)
        spec = self.model.spec
        numbers = checked(
            numbers,
            (tf.shape(numbers)[0] == tf.shape(images)[0]) & tf.reduce_all(numbers >= 0),
            "numbers: expected an integer >= 0 for each image, got {}",
            numbers,
        )
        k = checked(
            k,
            (k >= 0) & (k < spec.num_levels),
            f"k: expected 0 to {spec.num_levels - 1}, got {{}}",
            k,
        )
        samples = self._checked_samples(num_importance_samples, "num_importance_samples", images)

        def rows(first, count) -> Tensors:
            (all_latents, above_k), _ = score_graph.image_scores(
                self.model,
                (0, k),
                chunks.take(images, first, count),
                seed=seed,
                first_image=chunks.take(numbers, first, count),
                num_importance_samples=samples,
                max_rows=chunks.ROWS,
            )
            outputs = {
                "bound_nats": all_latents.bound,
                "bits_per_dim": objectives.bits_per_dim(all_latents.bound, spec.image_shape),
                "elbo_nats": all_latents.elbo,
                "reconstruction_nats": all_latents.reconstruction,
                "kl_nats": all_latents.kl,
                "elbo_above_k_nats": above_k.elbo,
                "llr_above_k_nats": tf.where(
                    tf.math.is_finite(all_latents.elbo) & tf.math.is_finite(above_k.elbo),
                    all_latents.elbo - above_k.elbo,
                    tf.constant(tf.float64.max, tf.float64),
                ),
            }
            return {name: _finite(tf.cast(value, tf.float32)) for name, value in outputs.items()}

        scalar = tf.TensorSpec([None], tf.float32)
        specs = dict.fromkeys(
            (
                "bound_nats",
                "bits_per_dim",
                "elbo_nats",
                "reconstruction_nats",
                "elbo_above_k_nats",
                "llr_above_k_nats",
            ),
            scalar,
        )
        specs["kl_nats"] = tf.TensorSpec([None, len(spec.kl_names)], tf.float32)
        return chunks.concat_rows(rows, tf.shape(images)[0], specs)

    def reconstruct(self, images, levels, seed) -> Tensors:
        seed = of_two(seed, "seed")
        images = self._checked_images(images)
        spec = self.model.spec
        levels = checked(
            levels,
            (levels >= 1) & (levels <= spec.num_levels),
            f"levels: expected 1 to {spec.num_levels}, got {{}}",
            levels,
        )

        def rows(first, count):
            (image,) = exploration.from_the_top(
                self.model,
                chunks.take(images, first, count),
                (spec.num_levels - levels,),
                SeededNoise(seed, first),
            )
            return _finite(image)

        return {"images": chunks.concat_rows(rows, tf.shape(images)[0], self._images_spec())}

    def encode(self, images) -> Tensors:
        images = self._checked_images(images)

        def rows(first, count) -> Tensors:
            values = exploration.posterior_values(
                self.model, chunks.take(images, first, count), NoNoise()
            )
            return {name: _finite(value) for name, value in values.items()}

        specs = {
            name: tf.TensorSpec((None, *shape), tf.float32)
            for name, shape in exploration.value_shapes(self.model).items()
        }
        return chunks.concat_rows(rows, tf.shape(images)[0], specs)

    def classify(self, images, num_samples, seed) -> Tensors:
        seed = of_two(seed, "seed")
        images = self._checked_images(images)
        num_samples = self._checked_samples(num_samples, "num_samples", images)

        def rows(first, count) -> tf.Tensor:
            return classification.probabilities(
                self.model,
                chunks.take(images, first, count),
                seed=seed,
                first_image=first,
                num_samples=num_samples,
                max_rows=chunks.ROWS,
            )

        spec = tf.TensorSpec((None, self.model.spec.num_classes), tf.float32)
        probabilities = chunks.concat_rows(rows, tf.shape(images)[0], spec)
        labels = tf.argmax(probabilities, axis=1, output_type=tf.int32)
        return {"probabilities": probabilities, "labels": labels}

    def decode(self, **inputs: tf.Tensor) -> Tensors:
        number = tf.shape(inputs[self.model.spec.latents[0].name])[0]
        values = {}
        for name, shape in exploration.value_shapes(self.model).items():
            value = inputs[name]
            expected = tf.concat([[number], shape], axis=0)
            value = checked(
                value,
                (shape_text(tf.shape(value)) == shape_text(expected))
                & (number >= 1)
                & (number <= self.limits.max_rows),
                f"{name}: expected shape {{}}, 1 to {self.limits.max_rows} rows, got {{}}",
                expected,
                tf.shape(value),
            )
            finite = tf.reduce_all(tf.math.is_finite(value))
            value = checked(value, finite, f"{name}: expected finite numbers")
            values[name] = tf.ensure_shape(value, (None, *shape))

        def rows(first, count):
            chunk = {name: chunks.take(value, first, count) for name, value in values.items()}
            return _finite(exploration.images_of(self.model, chunk, count))

        return {"images": chunks.concat_rows(rows, number, self._images_spec())}

    def _images_spec(self) -> tf.TensorSpec:
        return tf.TensorSpec((None, *self.model.spec.image_shape), tf.float32)

    def _checked_images(self, images: tf.Tensor) -> tf.Tensor:
        """Images of the model's shape, in [0, 1]."""
        shape = self.model.spec.image_shape
        got = tf.shape(images)
        expected = ", ".join(map(str, shape))
        images = checked(
            images,
            (shape_text(got[1:]) == "x".join(map(str, shape))) & (got[0] >= 1),
            f"images: expected shape [n >= 1, {expected}], got {{}}",
            got,
        )
        most = self.limits.max_rows
        images = checked(images, got[0] <= most, f"images: expected 1 to {most}, got {{}}", got[0])
        images = checked(
            images,
            tf.reduce_all((images >= 0) & (images <= 1)),  # not of a NaN
            "images: expected values in [0, 1], got {} to {}",
            tf.reduce_min(images),
            tf.reduce_max(images),
        )
        return tf.ensure_shape(images, (None, *shape))

    def _checked_samples(self, samples: tf.Tensor, name: str, images: tf.Tensor) -> tf.Tensor:
        """A number of samples per image, int64; with the images no more than `max_rows`."""
        most = self.limits.max_rows
        number = tf.shape(images, tf.int64)[0]
        wide = tf.cast(samples, tf.int64)
        return checked(
            wide,
            (wide >= 1) & (number * wide <= most),
            f"{name}: expected 1 to {most}, times the images at most {most}, got {{}} "
            "for {} images",
            samples,
            number,
        )

    def _decoded(self, images_png: tf.Tensor) -> tf.Tensor:
        """Encoded pictures as the model reads them, in [0, 1]."""
        number, most = tf.shape(images_png)[0], self.limits.max_rows
        images_png = checked(
            images_png,
            (number >= 1) & (number <= most),
            f"images_png: expected 1 to {most}, got {{}}",
            number,
        )
        return pictures.as_read(images_png, self.model.spec, self.grey)


def _finite(values: tf.Tensor) -> tf.Tensor:
    """The values; in place of infinite ones the greatest or the least float32, of NaNs 0."""
    values = tf.where(tf.math.is_nan(values), 0.0, values)
    return tf.clip_by_value(values, tf.float32.min, tf.float32.max)


def _png(images: tf.Tensor) -> tf.Tensor:
    pixels = tf.cast(tf.round(images * 255.0), tf.uint8)
    spec = tf.TensorSpec([], tf.string)
    return tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=spec)


def _trace(function: Callable, *specs: tf.TensorSpec, **named: tf.TensorSpec) -> Callable:
    return tf.function(function, autograph=False).get_concrete_function(*specs, **named)
