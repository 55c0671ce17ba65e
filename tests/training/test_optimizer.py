import keras
import numpy as np
import pytest
import tensorflow as tf

from biva_tf.training.optimizer import Adamax, FlooredExponentialDecay


@pytest.mark.parametrize("warmup", [True, False])
def test_adamax_and_averages_follow_the_formulas(warmup):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(5, 3))
    variable = keras.Variable(np.float32(start))
    optimizer = Adamax(0.01, ema_decay=0.9, ema_warmup=warmup)
    optimizer.build([variable])
    w = average = np.float32(start)
    v = m = np.zeros_like(w)
    for step in range(100):
        # Some gradients are far below epsilon: there it matters where the formula adds epsilon.
        gradient = np.float32(rng.normal(size=w.shape) * 10.0 ** rng.integers(-9, 1, w.shape))
        optimizer.apply([gradient])
        v = 0.9 * v + 0.1 * gradient
        m = np.maximum(0.999 * m + 1e-8, np.abs(gradient))
        w = w - 0.01 * v / m
        decay = min(0.9, (1 + step) / (10 + step)) if warmup else 0.9
        average = decay * average + (1 - decay) * w
        np.testing.assert_allclose(variable, w, rtol=1e-5, atol=1e-6, err_msg=f"step {step}")
        np.testing.assert_allclose(
            optimizer.moving_averages.values[0], average, rtol=1e-5, atol=1e-6
        )


def test_a_weight_with_gradient_0_does_not_change():
    variable = keras.Variable(np.ones(3, np.float32))
    optimizer = Adamax(0.01)
    optimizer.build([variable])
    for _ in range(3):
        optimizer.apply([np.zeros(3, np.float32)])
    np.testing.assert_array_equal(variable, np.ones(3))
    assert optimizer.moving_averages is None


def test_with_warmup_the_averages_of_a_short_run_are_near_its_weights():
    gaps = {}
    for warmup in (True, False):
        weight = keras.Variable(np.zeros(3, np.float32))
        optimizer = Adamax(0.01, ema_decay=0.9995, ema_warmup=warmup)
        optimizer.build([weight])
        for _ in range(50):
            optimizer.apply([-np.ones(3, np.float32)])
        gaps[warmup] = 1 - optimizer.moving_averages.values[0][0] / weight.numpy()[0]
    assert gaps[True] < 0.2
    assert gaps[False] > 0.9


def test_a_skipped_step_leaves_the_averages_as_they_are():
    weight = keras.Variable(np.zeros(3, np.float32))
    optimizer = Adamax(0.01, ema_decay=0.9)
    optimizer.build([weight])
    gradients = [tf.ones(3)]
    for skip, moves in ((False, True), (True, False), (False, True)):
        before = optimizer.moving_averages.values[0].numpy()
        optimizer.apply_summed(tf.distribute.get_strategy(), gradients, tf.constant(skip))
        assert np.any(optimizer.moving_averages.values[0] != before) == moves


def test_a_saved_optimizer_without_the_setting_has_no_warmup():
    config = Adamax(ema_decay=0.9).get_config()
    assert Adamax.from_config(dict(config)).ema_warmup
    del config["ema_warmup"]
    assert not Adamax.from_config(config).ema_warmup


def test_reset_sets_the_averages_to_the_weights():
    variable = keras.Variable(np.zeros(3, np.float32))
    optimizer = Adamax(0.01, ema_decay=0.9)
    optimizer.build([variable])
    variable.assign(np.ones(3))
    optimizer.moving_averages.reset()
    np.testing.assert_array_equal(optimizer.moving_averages.values[0], np.ones(3))


@pytest.mark.parametrize("step", [0, 1, 1_000_000, 2_990_000, 10_000_000])
def test_the_default_schedule_is_that_of_the_original(step):
    expected = max(0.002 * 0.999999**step, 0.0001)
    assert float(FlooredExponentialDecay()(step)) == pytest.approx(expected, rel=1e-5)


def test_an_initial_rate_below_the_floor_is_kept():
    assert float(FlooredExponentialDecay(5e-5)(0)) == pytest.approx(5e-5)


def test_the_learning_rate_rises_in_equal_steps_over_its_warmup():
    schedule = FlooredExponentialDecay(0.4, 1.0, 0.0, warmup=4)
    rates = [float(schedule(step)) for step in range(6)]
    np.testing.assert_allclose(rates, [0.1, 0.2, 0.3, 0.4, 0.4, 0.4], rtol=1e-6)
    assert FlooredExponentialDecay(**schedule.get_config()).get_config() == schedule.get_config()


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
def test_packed_weights_are_updated_as_if_each_had_its_own_slots(shapes):
    """Vectors share slot variables, with the values that separate optimizers have for each."""
    rng = np.random.default_rng(1)
    together = [keras.Variable(np.float32(rng.normal(size=shape))) for shape in shapes]
    apart = [keras.Variable(v.numpy()) for v in together]
    shared_optimizer = Adamax(0.01, ema_decay=0.9)
    shared_optimizer.build(together)
    own_optimizers = [Adamax(0.01, ema_decay=0.9) for _ in apart]
    for optimizer, variable in zip(own_optimizers, apart, strict=True):
        optimizer.build([variable])
    for _ in range(3):
        gradients = [np.float32(rng.normal(size=shape)) for shape in shapes]
        shared_optimizer.apply(gradients)
        for optimizer, gradient in zip(own_optimizers, gradients, strict=True):
            optimizer.apply([gradient])
    for i, (optimizer, variable) in enumerate(zip(own_optimizers, apart, strict=True)):
        np.testing.assert_array_equal(together[i], variable)
        for a, b in zip(
            shared_optimizer.slots(together[i]), optimizer.slots(variable), strict=True
        ):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(
            shared_optimizer.moving_averages.values[i], optimizer.moving_averages.values[0]
        )


def test_a_deserialized_optimizer_takes_the_same_steps():
    """Every argument differs from its default and changes the result, so a lost one would show."""
    schedule = FlooredExponentialDecay(0.5, 0.7, 0.2)
    original = Adamax(
        schedule, beta_1=0.6, beta_2=0.8, epsilon=0.3, ema_decay=0.5, ema_warmup=False
    )
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
