import keras
import numpy as np
import pytest

from biva_tf.training.optimizer import Adamax, FlooredExponentialDecay


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
        np.testing.assert_allclose(
            optimizer.moving_averages.values[0], average, rtol=1e-5, atol=1e-6
        )


def test_a_weight_without_gradient_stays():
    variable = keras.Variable(np.ones(3, np.float32))
    optimizer = Adamax(0.01)
    optimizer.build([variable])
    for _ in range(3):
        optimizer.apply([np.zeros(3, np.float32)])
    np.testing.assert_array_equal(variable, np.ones(3))
    assert optimizer.moving_averages is None


def test_averages_start_where_they_are_reset():
    variable = keras.Variable(np.zeros(3, np.float32))
    optimizer = Adamax(0.01, ema_decay=0.9)
    optimizer.build([variable])
    variable.assign(np.ones(3))
    optimizer.moving_averages.reset()
    np.testing.assert_array_equal(optimizer.moving_averages.values[0], np.ones(3))


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


@pytest.mark.parametrize("shapes", [[(4,)], [(3,), (2, 3), (5,)], [(2, 2), (1, 3)]])
def test_weights_that_share_a_slot_are_updated_as_if_each_had_its_own(shapes):
    """Vectors share variables; each weight, slot and average is that of an optimizer of its own."""
    rng = np.random.default_rng(1)
    together = [keras.Variable(np.float32(rng.normal(size=shape))) for shape in shapes]
    apart = [keras.Variable(v.numpy()) for v in together]
    one = Adamax(0.01, ema_decay=0.9)
    one.build(together)
    many = [Adamax(0.01, ema_decay=0.9) for _ in apart]
    for optimizer, variable in zip(many, apart, strict=True):
        optimizer.build([variable])
    for _ in range(3):
        gradients = [np.float32(rng.normal(size=shape)) for shape in shapes]
        one.apply(gradients)
        for optimizer, gradient in zip(many, gradients, strict=True):
            optimizer.apply([gradient])
    for i, (optimizer, variable) in enumerate(zip(many, apart, strict=True)):
        np.testing.assert_array_equal(together[i], variable)
        for a, b in zip(one.slots(together[i]), optimizer.slots(variable), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(
            one.moving_averages.values[i], optimizer.moving_averages.values[0]
        )


def test_a_rebuilt_optimizer_takes_the_same_steps():
    """Every argument differs from its default and shows in the result: none may get lost."""
    schedule = FlooredExponentialDecay(0.5, 0.7, 0.2)
    original = Adamax(schedule, beta_1=0.6, beta_2=0.8, epsilon=0.3, ema_decay=0.5)
    rebuilt = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(original))
    default = Adamax(ema_decay=0.9)
    gradients = np.float32(np.random.default_rng(2).normal(size=(5, 4)))
    results = []
    for optimizer in (original, rebuilt, default):
        weight = keras.Variable(np.ones(4, np.float32))
        optimizer.build([weight])
        for gradient in gradients:
            optimizer.apply([gradient])
        results.append((weight.numpy(), optimizer.moving_averages.values[0].numpy()))
    for first, second, other in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)
        assert not np.any(np.isclose(first, other))
