import keras
import numpy as np
import pytest

from biva_tf.optimizer import Adamax, FlooredExponentialDecay


def test_adamax_and_averages_follow_the_formulas():
    rng = np.random.default_rng(0)
    start = rng.normal(size=(5, 3))
    variable = keras.Variable(np.float32(start))
    optimizer = Adamax(0.01, ema_decay=0.9)
    optimizer.build([variable])
    w = average = np.float32(start)
    v = m = np.zeros_like(w)
    for step in range(20):
        # Gradients far below epsilon too, where its place in the rule shows.
        gradient = np.float32(rng.normal(size=w.shape) * 10.0 ** rng.integers(-9, 1, w.shape))
        optimizer.apply([gradient])
        v = 0.9 * v + 0.1 * gradient
        m = np.maximum(0.999 * m + 1e-8, np.abs(gradient))
        w = w - 0.01 * v / m
        average = 0.9 * average + 0.1 * w
        np.testing.assert_allclose(variable, w, rtol=1e-5, atol=1e-6, err_msg=f"step {step}")
        np.testing.assert_allclose(optimizer.averages[0], average, rtol=1e-5, atol=1e-6)


def test_a_weight_without_gradient_stays():
    variable = keras.Variable(np.ones(3, np.float32))
    optimizer = Adamax(0.01)
    optimizer.build([variable])
    for _ in range(3):
        optimizer.apply([np.zeros(3, np.float32)])
    np.testing.assert_array_equal(variable, np.ones(3))
    assert not optimizer.averages


def test_averages_start_where_they_are_reset():
    variable = keras.Variable(np.zeros(3, np.float32))
    optimizer = Adamax(0.01, ema_decay=0.9)
    optimizer.build([variable])
    variable.assign(np.ones(3))
    optimizer.reset_averages()
    np.testing.assert_array_equal(optimizer.averages[0], np.ones(3))


@pytest.mark.parametrize("step", [0, 1, 1_000_000, 2_990_000, 10_000_000])
def test_the_originals_schedule(step):
    expected = max(0.002 * 0.999999**step, 0.0001)
    assert float(FlooredExponentialDecay()(step)) == pytest.approx(expected, rel=1e-5)


def test_a_rate_below_the_floor_is_kept():
    assert float(FlooredExponentialDecay(5e-5)(0)) == pytest.approx(5e-5)


def test_the_optimizer_follows_the_schedule():
    variable = keras.Variable(np.zeros(1, np.float32))
    optimizer = Adamax(FlooredExponentialDecay(1.0, 0.5, 0.2))
    optimizer.build([variable])
    rates = []
    for _ in range(4):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([np.ones(1, np.float32)])
    np.testing.assert_allclose(rates, [1.0, 0.5, 0.25, 0.2])


def test_it_can_be_rebuilt_from_its_config():
    config = Adamax(0.01, beta_1=0.8, ema_decay=0.99).get_config()
    again = Adamax.from_config(config)
    assert (again.beta_1, again.ema_decay) == (0.8, 0.99)
    assert float(again.learning_rate) == pytest.approx(0.01)
