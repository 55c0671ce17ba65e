import dataclasses

import numpy as np
import pytest

from biva_tf.model import architectures
from biva_tf.model.checks import SpecError
from biva_tf.model.kinds import LikelihoodKind
from biva_tf.model.observations import Bernoulli, Gaussian, LogisticMixture, Text
from biva_tf.model.observed import REALS, UNIT, Observation, Unit


@dataclasses.dataclass(frozen=True)
class Toy(LikelihoodKind):
    kind = "toy"


def test_a_likelihood_with_a_kind_alone_is_one_of_images():
    toy = Toy()
    assert toy.x is Observation.IMAGE and toy.values == UNIT and toy.unit is Unit.BITS_PER_DIM
    assert toy.x.of_fixed_size and not toy.binary and not toy.codes_pixels
    toy.check_shape((4, 4, 7))
    assert toy.input_shape((4, 4, 7)) == (4, 4, 7) and toy.num_ids is None
    toy.check_values(np.array([[[[0.0, 1.0]]]], np.float32))
    expected = r"expected values in \[0, 1\] or uint8 of 0 to 255, got 0.0 to 1.5"
    with pytest.raises(ValueError, match=expected):
        toy.check_values(np.array([[[[0.0, 1.5]]]], np.float32))


@pytest.mark.parametrize(
    "likelihood,unit,values",
    [
        (Bernoulli(), Unit.NATS, UNIT),
        (LogisticMixture(), Unit.BITS_PER_DIM, UNIT),
        (Gaussian(), Unit.NATS, REALS),
        (Text(10), Unit.NATS, (0.0, 9.0)),
    ],
)
def test_the_unit_follows_from_what_x_is(likelihood, unit, values):
    assert likelihood.unit is unit and likelihood.values == values


@pytest.mark.parametrize(
    "likelihood,shape,expected",
    [
        (LogisticMixture(), (4, 4, 2), "1 or 3 channels for discretized_logistic_mixture"),
        (Text(10), (4, 1, 2), "1 channels for text"),
        (Text(10), (4, 2, 1), r"\(tokens, 1, 1\) for text"),
    ],
)
def test_a_shape_that_x_cannot_have_is_refused(likelihood, shape, expected):
    with pytest.raises(SpecError, match=f"image_shape: expected {expected}"):
        likelihood.check_shape(shape)


def test_values_that_x_cannot_have_are_refused():
    with pytest.raises(ValueError, match="expected finite numbers, got"):
        Gaussian().check_values(np.array([[[[0.0, np.inf]]]], np.float32))
    with pytest.raises(ValueError, match="expected ids of words, then 1, then 0; got others"):
        Text(10).check_values(np.array([1.0, 1.0, 0.0], np.float32).reshape(1, 3, 1, 1))


@dataclasses.dataclass(frozen=True)
class Signed(LikelihoodKind):
    kind = "signed"
    values = (-1.0, 1.0)


@pytest.mark.parametrize(
    "likelihood,of_images",
    [(Toy(), True), (Bernoulli(), True), (Signed(), False), (Gaussian(), False)],
)
def test_files_of_pictures_hold_x_if_it_is_an_image_of_their_range(likelihood, of_images):
    spec = dataclasses.replace(architectures.get("tiny_dense"), likelihood=likelihood)
    assert spec.of_images is of_images
