"""Pushing is the exact inverse of popping, on the stack and on the grids of latents."""

import constriction
import numpy as np
import pytest

from biva_tf.compression.errors import MismatchError
from biva_tf.compression.grid import Grid
from biva_tf.compression.stack import RandomWords, Stack

MODELS = constriction.stream.model


def _distributions(kind, rng, number):
    """A model family, and parameters of a number of random distributions."""
    if kind == "gaussian":
        means, deviations = rng.normal(0, 50, number), np.exp(rng.normal(0, 3, number))
        return MODELS.QuantizedGaussian(-100, 100), (means, deviations)
    tables = rng.dirichlet(np.full(int(kind), 0.1), number).astype(np.float32)
    return MODELS.Categorical(perfect=False), (tables,)


@pytest.mark.parametrize("kind", ["gaussian", "2", "256"])
def test_pop_then_push_and_push_then_pop_change_nothing(kind):
    rng = np.random.default_rng(0)
    model, parameters = _distributions(kind, rng, 500)
    stack = Stack(RandomWords(1).last_to_first(0, 3000))
    before = stack.words(0)
    symbols = stack.pop(model, *parameters)
    after = stack.words(0)
    assert len(after) < len(before)
    stack.push(symbols, model, *parameters)
    np.testing.assert_array_equal(stack.words(0), before)
    others = rng.integers(0, 2, 500).astype(np.int32)
    stack.push(others, model, *parameters)
    np.testing.assert_array_equal(stack.pop(model, *parameters), others)
    np.testing.assert_array_equal(stack.words(0), before)


def test_popping_draws_from_the_distribution_and_costs_its_entropy():
    number, table = 20_000, np.array([0.5, 0.3, 0.15, 0.05], np.float32)
    stack = Stack(np.empty(0, np.uint32), RandomWords(0))
    symbols = stack.pop(MODELS.Categorical(perfect=False), np.tile(table, (number, 1)))
    np.testing.assert_allclose(np.bincount(symbols) / number, table, atol=0.015)
    entropy = -np.sum(table * np.log2(table))
    np.testing.assert_allclose(32 * stack.random_words_used / number, entropy, rtol=0.02)


def test_a_stack_whose_words_do_not_suffice_says_so():
    words = RandomWords(1).last_to_first(0, 100)
    model, bits = MODELS.QuantizedGaussian(-100, 100), (100 - 2) * 32
    for symbols, enough in ((bits // 16, True), (bits // 4, False)):  # of 6 bits each
        stack = Stack(words)
        stack.pop(model, np.zeros(symbols), np.full(symbols, 16.0))
        if enough:
            stack.check()
        else:
            with pytest.raises(MismatchError, match="the stack runs out of words"):
                stack.check()
    with pytest.raises(MismatchError, match="the highest word of the stack is 0"):
        Stack(np.append(words, np.uint32(0)))


def test_an_empty_stack_takes_random_words_and_gives_the_same_ones_back():
    model = MODELS.QuantizedGaussian(-100, 100)
    parameters = np.zeros(3000), np.full(3000, 20.0)
    stack = Stack(np.empty(0, np.uint32), RandomWords(7))
    symbols = stack.pop(model, *parameters)
    used = stack.random_words_used
    assert 3000 * 5 / 32 < used < 3000 * 8 / 32
    stack.push(symbols, model, *parameters)
    assert stack.random_words_used == used == len(stack)
    np.testing.assert_array_equal(stack.words(), RandomWords(7).last_to_first(0, used))


def test_words_above_the_deepest_point_suffice_to_pop_again():
    """So a file holds the words that were used, not the random ones beneath."""
    model = MODELS.QuantizedGaussian(-100, 100)
    parameters = np.zeros(1000), np.full(1000, 20.0)
    stack = Stack(np.empty(0, np.uint32), RandomWords(0))
    first = stack.pop(model, *parameters)
    stack.push(first[::-1].copy(), model, *parameters)
    again = Stack(stack.words())
    np.testing.assert_array_equal(again.pop(model, *parameters), first[::-1])
    again.push(first, model, *parameters)
    expected = RandomWords(0).last_to_first(0, stack.random_words_used)
    np.testing.assert_array_equal(again.words(0), expected)


def test_random_words_are_one_sequence_without_zeros():
    words = RandomWords(3)
    whole = words.last_to_first(0, 9000)
    np.testing.assert_array_equal(whole[:-4000], words.last_to_first(4000, 9000))
    assert whole.all() and not np.array_equal(whole, RandomWords(4).last_to_first(0, 9000))


def _gaussians(number, seed=0):
    rng = np.random.default_rng(seed)
    mean = rng.normal(0, 10, (number, 3)).astype(np.float32)
    return mean, rng.normal(0.5, 1, (number, 3)).astype(np.float32)


@pytest.mark.parametrize("exponent", [-6, -2, 0, 3])
def test_a_grid_pops_what_it_pushed_under_other_gaussians(exponent):
    grid, q, p = Grid(exponent), _gaussians(200), _gaussians(200, seed=1)
    stack = Stack(RandomWords(0).last_to_first(0, 4000))
    before = stack.words(0)
    z = grid.pop_posterior(stack, *q)
    assert z.shape == q[0].shape and z.dtype == np.float32
    np.testing.assert_array_equal(z, np.round(z / 2.0**exponent) * 2.0**exponent)
    grid.push_prior(stack, z, *p)
    np.testing.assert_array_equal(grid.pop_prior(stack, *p), z)
    grid.push_posterior(stack, z, *q)
    np.testing.assert_array_equal(stack.words(0), before)


def test_values_of_a_grid_follow_the_posterior():
    number = 4000
    mean, log_variance = (
        np.full((number, 1), 3.3, np.float32),
        np.full((number, 1), 0.6, np.float32),
    )
    stack = Stack(np.empty(0, np.uint32), RandomWords(0))
    z = Grid.from_log_variance(log_variance).pop_posterior(stack, mean, log_variance)
    deviation = np.exp(0.3)
    assert abs(z.mean() - 3.3) < 5 * deviation / number**0.5
    np.testing.assert_allclose(z.std(), deviation, rtol=0.05)


def test_the_net_length_does_not_depend_on_the_width():
    """log q(z) - log p(z): the log of the width cancels."""
    mean, log_variance = _gaussians(3000)
    q = (mean, 0.3 * log_variance)
    p = (mean + np.float32(0.5), q[1] + np.float32(0.5))
    lengths = []
    for width in (0.5, 0.125):
        grid = Grid.from_log_variance(q[1], width)
        stack = Stack(RandomWords(0).last_to_first(0, 9000))
        before = len(stack.words(0))
        grid.push_prior(stack, grid.pop_posterior(stack, *q), *p)
        lengths.append(32 * (len(stack.words(0)) - before))
    variance = np.exp(q[1] - p[1])
    kl = np.sum(0.5 * (variance + 0.25 / np.exp(p[1]) - 1 - np.log(variance))) / np.log(2)
    np.testing.assert_allclose(lengths, kl, rtol=0.05)


def test_anything_that_a_network_gives_can_be_coded():
    grid = Grid(0)
    odd = np.float32([np.nan, np.inf, -np.inf, 1e30, -1e30, 1e5, 0, 0, 0, 0])
    odd_variance = np.float32([0, np.nan, np.inf, -np.inf, 1e30, -1e30, 90, -90, 0, 0])
    stack = Stack(RandomWords(0).last_to_first(0, 200))
    before = stack.words(0)
    z = grid.pop_posterior(stack, odd, odd_variance)
    assert np.isfinite(z).all()
    grid.push_prior(stack, z, odd[::-1], odd_variance[::-1])
    np.testing.assert_array_equal(grid.pop_prior(stack, odd[::-1], odd_variance[::-1]), z)
    grid.push_posterior(stack, z, odd, odd_variance)
    np.testing.assert_array_equal(stack.words(0), before)


def test_a_value_that_no_posterior_gave_is_refused():
    stack = Stack(RandomWords(0).last_to_first(0, 200))
    with pytest.raises(MismatchError, match="a latent is far from its posterior"):
        Grid(0).push_posterior(stack, np.float32([100.0]), np.zeros(1), np.zeros(1))
