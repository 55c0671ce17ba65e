import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed, random_images

from biva_tf.model import plans
from biva_tf.model.noise import (
    GatheredNoise,
    GivenNoise,
    HostDraws,
    NoNoise,
    NumberedNoise,
    SameNoise,
    SampleNoise,
    SeededNoise,
)


@pytest.mark.parametrize("event", [(1,), (6,), (3, 5, 2), (4, 4, 4)])
@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_noise_of_a_row_does_not_depend_on_its_chunk(event, kind):
    whole = getattr(SeededNoise(3), kind)("z1_bu/posterior", (10, *event))
    parts = [
        getattr(SeededNoise(3, first), kind)("z1_bu/posterior", (rows, *event))
        for first, rows in ((0, 1), (1, 4), (5, 5))
    ]
    np.testing.assert_array_equal(whole, tf.concat(parts, axis=0))


def test_streams_rows_steps_and_seeds_all_have_different_noise():
    draws = {
        (seed, step, stream): SeededNoise(seed).fold(step).normal(stream, (4, 3)).numpy()
        for seed in (0, 1)
        for step in range(5)
        for stream in ("z1_bu/posterior", "z1_td/posterior", "z1_bu/prior")
    }
    numbers = np.concatenate([d.ravel() for d in draws.values()])
    assert len(np.unique(numbers)) == len(numbers)


def test_the_same_seed_gives_the_same_draw_inside_a_tf_function():
    draw = tf.function(
        lambda seed, first: SeededNoise(seed, first).normal("a", (3, 5)), autograph=False
    )
    inside = draw(tf.constant([7, 0], tf.int64), tf.constant(2))
    np.testing.assert_array_equal(inside, SeededNoise(7, 2).normal("a", (3, 5)))


def test_normal_and_uniform_have_the_right_mean_deviation_and_range():
    normal = SeededNoise(0).normal("a", (50_000, 3)).numpy()
    uniform = SeededNoise(0).uniform("a", (50_000, 3)).numpy()
    np.testing.assert_allclose([normal.mean(), normal.std()], [0, 1], atol=0.01)
    np.testing.assert_allclose([uniform.mean(), uniform.std()], [0.5, 12**-0.5], atol=0.01)
    assert uniform.min() >= 0 and uniform.max() < 1
    assert abs(np.corrcoef(normal[:-1, 0], normal[1:, 0])[0, 1]) < 0.02


@pytest.mark.parametrize("event", [(1,), (3, 5, 2), (4, 4, 4)])
def test_the_dropout_mask_of_a_row_does_not_depend_on_its_chunk(event):
    whole = SeededNoise(3).dropout_mask("block/dropout", 0.5, (10, *event))
    parts = [
        SeededNoise(3, first).dropout_mask("block/dropout", 0.5, (rows, *event))
        for first, rows in ((0, 1), (1, 4), (5, 5))
    ]
    np.testing.assert_array_equal(whole, tf.concat(parts, axis=0))


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_a_dropout_mask_is_0_at_its_rate_and_has_mean_1(rate):
    mask = SeededNoise(0).dropout_mask("a", rate, (50_000, 3)).numpy()
    assert len(np.unique(mask)) == 2
    np.testing.assert_allclose((mask == 0).mean(), rate, atol=0.005)
    np.testing.assert_allclose(mask.max(), 1 / (1 - rate), rtol=1e-4)
    np.testing.assert_allclose(mask.mean(), 1, atol=0.01)
    assert np.all(np.abs(np.corrcoef(mask.T)[np.triu_indices(3, 1)]) < 0.02)
    assert abs(np.corrcoef(mask[:-1, 0], mask[1:, 0])[0, 1]) < 0.02


def test_given_noise_names_what_is_missing_or_misshapen():
    noise = GivenNoise({"z1": np.zeros((2, 3))})
    assert noise.normal("z1/posterior", (2, 3)).shape == (2, 3)
    with pytest.raises(ValueError, match="no noise was given for z1/prior"):
        noise.normal("z1/prior", (2, 3))
    with pytest.raises(ValueError, match="noise for z1/posterior: expected"):
        noise.normal("z1/posterior", (2, 4))


def test_a_host_is_asked_for_every_latent_in_the_order_of_the_passes():
    """And what it draws as noise would is what the passes give with that noise, in a graph too."""
    model = perturbed("tiny_conv")
    images, seen, rng = random_images(model.spec, 2), [], np.random.default_rng(0)
    noise = {}

    def draw(stream, mean, log_variance):
        seen.append(stream)
        noise[stream.split("/")[0]] = rng.normal(size=mean.shape).astype(np.float32)
        return mean + np.exp(0.5 * log_variance) * noise[stream.split("/")[0]]

    call = tf.function(lambda x: model(x, noise=HostDraws(draw)).px_parameters, autograph=False)
    by_host = call(images)
    assert seen == [f"{name}/posterior" for name in ("z1_bu", "z2", "z1_td")]
    by_noise = model(images, noise=GivenNoise(posterior=noise)).px_parameters
    np.testing.assert_allclose(by_host, by_noise, rtol=1e-4, atol=1e-5)
    host = HostDraws(draw)
    asked = ("z2/posterior", (2, 3)), ("z2/posterior", (2, 3)), ("block/dropout", 0.5, (2, 3))
    for kind, arguments in zip((host.normal, host.uniform, host.dropout_mask), asked, strict=True):
        with pytest.raises(ValueError, match="where the host draws values"):
            kind(*arguments)
    with pytest.raises(ValueError, match="z2/prior: expected temperature 1"):
        model.top_down(None, plans.prior(model.spec, 0.5), host, rows=2)


def test_masks_of_samples_and_of_gathered_rows_are_those_of_the_rows_they_are():
    base, asked = SeededNoise(5), ("block/dropout", 0.5)
    by_sample = [base.fold(sample, 4).dropout_mask(*asked, (2, 7)) for sample in (1, 2)]
    drawn = SampleNoise(base, 1, 2, 4).dropout_mask(*asked, (4, 7))
    np.testing.assert_array_equal(drawn, tf.concat(by_sample, axis=0))
    whole, rows = base.dropout_mask(*asked, (3, 7)), tf.constant([2, 0, 2, 1])
    gathered = GatheredNoise(base, 3, rows).dropout_mask(*asked, (4, 7))
    np.testing.assert_array_equal(gathered, tf.gather(whole, rows))
    np.testing.assert_array_equal(SameNoise(base).dropout_mask(*asked, (2, 7)), [whole[0]] * 2)


@pytest.mark.parametrize("noise", [GivenNoise(), NoNoise(), HostDraws(lambda *_: None)])
def test_noise_without_dropout_says_which_mask_was_asked_for(noise):
    with pytest.raises(ValueError, match="block/dropout"):
        noise.dropout_mask("block/dropout", 0.5, (2, 3))


@pytest.mark.parametrize("numbers", [(9, 2, 3, 1_000_000_007), (6, 7, 8, 9)])
def test_numbered_images_have_the_noise_of_their_numbers(numbers):
    """Whatever their order is, and up to the rounding of the normal numbers."""
    base, numbers = SeededNoise(5), np.array(numbers)
    numbered = NumberedNoise(base, 1, 3, tf.constant(numbers, tf.int64))
    for stream, event in (("z1_bu/posterior", (5,)), ("z2/prior", (2, 3, 2))):
        normal, uniform = (
            np.reshape(draw(stream, (12, *event)), (3, 4, *event))
            for draw in (numbered.normal, numbered.uniform)
        )
        for i, number in enumerate(numbers):
            alone = SampleNoise(base, 1, 3, number)
            np.testing.assert_allclose(
                normal[:, i], alone.normal(stream, (3, *event)), rtol=1e-5, atol=1e-6
            )
            np.testing.assert_array_equal(uniform[:, i], alone.uniform(stream, (3, *event)))
