import numpy as np
import pytest
import tensorflow as tf

from biva_tf.inference import chunks


def _sum_in_chunks(number, size, *, static):
    """(The sum of 0 ... number-1, the sizes of the chunks as the body got them), in a graph."""
    seen = []

    def run(number, size):
        def body(first, count, state):
            seen.append(count)
            return state + tf.reduce_sum(tf.range(first, first + count))

        return chunks.loop(body, number, size, tf.constant(0))

    if static:
        return tf.function(lambda: run(number, size), autograph=False)().numpy(), seen
    graph = tf.function(run, autograph=False)
    return graph(tf.constant(number), tf.constant(size)).numpy(), seen


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("number,size", [(1, 1), (6, 6), (6, 2), (7, 3), (2, 5)])
def test_a_loop_visits_every_item_once(number, size, static):
    total, seen = _sum_in_chunks(number, size, static=static)
    assert total == sum(range(number))
    # If all chunks are equally large, their size is an int, so that shapes are static.
    known = static and number % size == 0
    assert all(isinstance(count, int) == known for count in seen)


@pytest.mark.parametrize("number", [1, 4, 9, 12])
@pytest.mark.parametrize("as_tensor", [True, False])
def test_rows_are_joined_in_order(number, as_tensor):
    values = tf.reshape(tf.range(24.0), (12, 2))
    specs = {"a": tf.TensorSpec([None, 2]), "b": tf.TensorSpec([None])}

    def rows(first, count):
        part = values[first : first + count]
        return {"a": part, "b": part[:, 0]}

    def run(number):
        return chunks.concat_rows(rows, number, specs, size=4)

    if as_tensor:
        joined = tf.function(run, autograph=False)(tf.constant(number))
    else:
        joined = tf.function(lambda: run(number), autograph=False)()
    np.testing.assert_array_equal(joined["a"], values[:number])
    np.testing.assert_array_equal(joined["b"], values[:number, 0])


def test_spans_and_joined_rows_on_the_host():
    assert list(chunks.spans(7, 3)) == [(0, 3), (3, 6), (6, 7)]
    assert list(chunks.spans(7, 3, first=3)) == [(3, 6), (6, 7)]
    assert list(chunks.spans(0, 3)) == []
    joined = chunks.concat_on_host(lambda a, b: (np.arange(a, b), np.ones((b - a, 2))), 7, 3)
    np.testing.assert_array_equal(joined[0], np.arange(7))
    assert joined[1].shape == (7, 2)
