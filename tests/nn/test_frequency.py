import numpy as np
import pytest
import tensorflow as tf

from biva_tf.nn import frequency

# (Size, kernel, channels, filters): odd, even and non-square sizes and kernels, kernels larger than
# the map, kernels of one tap, and maps of one channel.
SHAPES = [
    ((7, 7), (3, 3), 2, 3),
    ((8, 8), (5, 5), 3, 1),
    ((6, 9), (4, 3), 1, 2),
    ((5, 4), (2, 6), 2, 2),
    ((4, 4), (4, 4), 3, 5),
    ((3, 5), (8, 7), 2, 1),
    ((1, 6), (1, 5), 2, 2),
    ((5, 1), (2, 1), 1, 3),
    ((2, 3), (1, 1), 2, 2),
    ((16, 16), (16, 16), 2, 2),
]


def _direct(x, weights):
    return tf.nn.conv2d(x, weights, 1, "SAME")


def _convolution(x, weights):
    return frequency.convolution(tuple(x.shape[1:3]), tuple(weights.shape[:2]))


def _from_spectrum(x, weights):
    convolution = _convolution(x, weights)
    return convolution.with_spectrum(x, convolution.spectrum_of_weights(weights))


def _from_weights(x, weights):
    return _convolution(x, weights)(x, weights, x.dtype)


def _value_and_gradients(convolve, x, weights, y_gradient):
    with tf.GradientTape() as tape:
        tape.watch((x, weights))
        y = convolve(x, weights)
    return y, *tape.gradient(y, (x, weights), y_gradient)


def _arrays(size, kernel, channels, filters, dtype, rows=3):
    rng = np.random.default_rng(0)
    shapes = (rows, *size, channels), (*kernel, channels, filters), (rows, *size, filters)
    return [tf.constant(rng.normal(size=shape), dtype) for shape in shapes]


@pytest.mark.parametrize("size,kernel,channels,filters", SHAPES)
@pytest.mark.parametrize("most_kept", [0, 1e9])
def test_value_and_gradients_are_those_of_the_direct_convolution(
    size, kernel, channels, filters, most_kept, monkeypatch
):
    monkeypatch.setattr(frequency, "_MOST_KEPT", most_kept)
    arrays = _arrays(size, kernel, channels, filters, tf.float64)
    expected = _value_and_gradients(_direct, *arrays)
    for way in (_from_spectrum, _from_weights):
        for ours, theirs in zip(_value_and_gradients(way, *arrays), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize("rows,times", [(2, 1), (1, 2)])
def test_only_large_spectra_are_computed_again_in_the_backward_pass(rows, times, monkeypatch):
    # At each place of the spectra, the weights have 4 x 8 numbers, and x and y 4 + 8 for each row.
    arrays = _arrays((9, 9), (3, 3), 4, 8, tf.float32, rows)
    convolution = _convolution(*arrays[:2])
    computed, spectrum = [], convolution.spectrum_of_weights
    monkeypatch.setattr(
        convolution, "spectrum_of_weights", lambda w: computed.append(w) or spectrum(w)
    )
    _value_and_gradients(_from_weights, *arrays)
    assert len(computed) == times


def test_second_derivatives_are_those_of_the_direct_convolution():
    x, weights, y_gradient = _arrays((5, 6), (3, 4), 2, 3, tf.float64)

    def second_derivatives(convolve):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(weights)
                loss = tf.reduce_sum(convolve(x, weights) ** 2 * y_gradient)
            gradient = inner.gradient(loss, weights)
        return outer.gradient(gradient, x, weights)

    np.testing.assert_allclose(
        second_derivatives(_from_spectrum), second_derivatives(_direct), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize(
    "size,kernel,tolerance", [((28, 28), (5, 5), 5e-6), ((16, 16), (16, 16), 5e-6)]
)
def test_the_error_in_float32_is_rounding_alone(size, kernel, tolerance):
    arrays = _arrays(size, kernel, 16, 8, tf.float32)
    exact = _value_and_gradients(_direct, *[tf.cast(a, tf.float64) for a in arrays])
    for ours, theirs in zip(_value_and_gradients(_from_spectrum, *arrays), exact, strict=True):
        error = np.abs(ours.numpy() - theirs).max() / np.abs(theirs).max()
        assert error < tolerance


def test_the_error_of_bfloat16_products_is_that_of_bfloat16():
    x, weights, _ = _arrays((14, 14), (5, 5), 16, 8, tf.float32)
    convolution = frequency.convolution((14, 14), (5, 5))
    spectrum = tf.cast(convolution.spectrum_of_weights(weights), tf.bfloat16)
    y, exact = convolution.with_spectrum(x, spectrum), _direct(x, weights)
    assert y.dtype == tf.float32
    error = np.sqrt(np.mean((y - exact) ** 2) / np.mean(exact**2))
    assert 1e-4 < error < 1e-2  # small enough for 8 bits, too large for float32


def test_the_number_of_rows_may_be_unknown():
    x, weights, _ = _arrays((7, 6), (3, 3), 2, 3, tf.float32, rows=4)
    signature = [tf.TensorSpec((None, 7, 6, 2)), tf.TensorSpec((3, 3, 2, 3))]
    graph = tf.function(_from_spectrum, input_signature=signature, autograph=False)
    for rows in (1, 4):
        expected = _direct(x[:rows], weights)
        np.testing.assert_allclose(graph(x[:rows], weights), expected, atol=1e-5)
