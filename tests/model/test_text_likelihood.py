"""p(x|z) of sentences."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed

from biva_tf.inference.scoring import check_images
from biva_tf.model import architectures, likelihoods, tokens
from biva_tf.model.noise import SeededNoise
from biva_tf.model.observed import Observation
from biva_tf.model.spec import ModelSpec, SpecError, Text

WORDS, LENGTH = 2, 3
SPEC = Text(tokens.FIRST_WORD + WORDS, embedding_units=4, decoder_units=5, feature_units=3)


@pytest.fixture(scope="module")
def likelihood():
    made = likelihoods.make(SPEC, (LENGTH, 1, 1))
    rng = np.random.default_rng(0)
    for variable in made.trainable_variables:
        variable.assign(rng.normal(0, 0.8, variable.shape))
    return made


def _parameters(rows, seed=1):
    shape = (rows, LENGTH, 1, SPEC.feature_units)
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def _sentences():
    """All rows of ids that are sentences: ended ones of all lengths, and cut ones."""
    symbols = range(tokens.UNKNOWN, SPEC.vocabulary)
    rows = [
        (*words, tokens.END, *[tokens.PADDING] * (LENGTH - 1 - number))
        for number in range(LENGTH)
        for words in itertools.product(symbols, repeat=number)
    ]
    rows += itertools.product(symbols, repeat=LENGTH)
    return np.array(rows, np.float32).reshape(-1, LENGTH, 1, 1)


def _log_softmax(logits):
    logits = np.float64(logits)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def test_the_probabilities_of_all_sentences_sum_to_one(likelihood):
    ids = _sentences()
    assert len(ids) == 1 + 3 + 9 + 27 and tokens.valid(ids[..., 0, 0])
    parameters = tf.repeat(_parameters(1), len(ids), axis=0)
    log_p = likelihood.distribution(parameters).log_prob(ids).numpy()
    assert np.exp(np.float64(log_p)).sum() == pytest.approx(1, abs=1e-5)


def test_log_prob_is_that_of_a_computation_step_by_step_with_the_cell(likelihood):
    parameters, ids = _parameters(4), _sentences()[[0, 2, 7, 30]]
    found = likelihood.distribution(parameters).log_prob(ids)
    table = next(v for v in likelihood.trainable_variables if v.name == "embedding").numpy()
    bias = next(v for v in likelihood.trainable_variables if v.path == "text/bias").numpy()
    output = next(layer for layer in likelihood._layers if layer.name == "text_output")
    for row in range(4):
        total, before, states = 0.0, tokens.PADDING, [tf.zeros([1, 5])]
        for place, token in enumerate(ids[row, :, 0, 0].astype(int)):
            feature = parameters[row : row + 1, place, 0]
            read = tf.concat([table[np.newaxis, before], feature], axis=-1)
            state, states = likelihood.recurrent.cell(read, states)
            h = output(tf.concat([state, feature], axis=-1)).numpy()
            total += _log_softmax(h @ table[1:].T + bias)[0, token - 1]
            before = token
            if token == tokens.END:
                break
        assert float(found[row]) == pytest.approx(total, abs=1e-5)


def test_what_follows_the_end_does_not_change_log_prob(likelihood):
    """Neither padding nor the features there."""
    ids = np.zeros((1, LENGTH, 1, 1), np.float32)
    ids[0, 0] = tokens.END
    one, other = _parameters(1), _parameters(1, seed=2)
    changed = tf.concat([one[:, :1], other[:, 1:]], axis=1)
    log_p = [likelihood.distribution(p).log_prob(ids).numpy() for p in (one, changed)]
    np.testing.assert_array_equal(*log_p)
    with tf.GradientTape() as tape:
        tape.watch(one)
        found = likelihood.distribution(one).log_prob(ids)
    gradient = tape.gradient(found, one).numpy()
    assert np.abs(gradient[0, 0]).max() > 0 and not gradient[0, 1:].any()


def test_draws_follow_the_probabilities(likelihood):
    parameters, number = _parameters(1), 20_000
    many = likelihood.distribution(tf.repeat(parameters, number, axis=0))
    drawn = likelihood.image(many, SeededNoise(3)).numpy()
    assert drawn.shape == (number, LENGTH, 1, 1) and tokens.valid(drawn[..., 0, 0])
    ids = _sentences()
    p = np.exp(likelihood.distribution(tf.repeat(parameters, len(ids), axis=0)).log_prob(ids))
    shares = [(drawn == row).all(axis=(1, 2, 3)).mean() for row in ids]
    np.testing.assert_allclose(shares, p, atol=5 * np.sqrt(0.25 / number))


def test_a_draw_inverts_the_distribution_function(likelihood):
    """The first token is the one whose share of [0, 1) has the uniform number."""
    parameters = _parameters(1)
    px, ids = likelihood.distribution(parameters), range(tokens.END, SPEC.vocabulary)
    edges = np.cumsum([0, *(np.exp(_mass(px, [id_])) for id_ in ids)])
    for id_ in ids:
        for u in (edges[id_ - 1] + 1e-4, edges[id_] - 1e-4):
            uniforms = tf.fill([1, LENGTH], tf.constant(u, tf.float32))
            assert px.from_uniforms(uniforms)[0, 0, 0, 0] == id_


def test_a_reconstruction_takes_the_most_probable_token_at_each_place(likelihood):
    parameters = _parameters(6)
    greedy = likelihood.reconstruction(likelihood.distribution(parameters), SeededNoise(0))
    for row in range(6):
        px, begin = likelihood.distribution(parameters[row : row + 1]), []
        while len(begin) < LENGTH and tokens.END not in begin:
            ids = range(tokens.END, SPEC.vocabulary)
            begin.append(max(ids, key=lambda id_, px=px, begin=begin: _mass(px, [*begin, id_])))
        expected = np.pad(begin, (0, LENGTH - len(begin)))
        np.testing.assert_array_equal(greedy[row, :, 0, 0], expected)


def test_word_dropout_is_a_function_of_the_noise(likelihood):
    ids, parameters = _sentences(), tf.repeat(_parameters(1), 40, axis=0)

    def log_p(noise):
        return likelihood.distribution(parameters, noise).log_prob(ids).numpy()

    np.testing.assert_array_equal(log_p(SeededNoise(1)), log_p(SeededNoise(1)))
    plain = log_p(None)
    np.testing.assert_array_equal(plain, likelihood.distribution(parameters).log_prob(ids))
    changed = log_p(SeededNoise(1)) != plain
    assert 0 < changed.mean() < 1 and (log_p(SeededNoise(2)) != log_p(SeededNoise(1))).any()
    first = ids[:, 0, 0, 0] == tokens.END  # no token before the first is dropped
    assert not changed[first].any()


def test_word_dropout_reads_unknown_words(likelihood):
    """If all are dropped, words before make no difference to the last one."""
    everything = dataclasses.replace(SPEC, word_dropout=0.999_999)
    other = likelihoods.make(everything, (LENGTH, 1, 1))
    for a, b in zip(other.trainable_variables, likelihood.trainable_variables, strict=True):
        a.assign(b)
    parameters = _parameters(1)
    row = np.array([3, 4, 1], np.float32).reshape(1, LENGTH, 1, 1)
    unknown = np.array([2, 2, 1], np.float32).reshape(1, LENGTH, 1, 1)
    dropped = other.distribution(parameters, SeededNoise(0)).log_prob(row)
    read = likelihood.distribution(parameters)
    last = read.log_prob(unknown) - _first_two(read, unknown)
    expected = _first(read, row) + _second_after_unknown(read, row) + last
    np.testing.assert_allclose(dropped, expected, atol=1e-5)


def _mass(px, words):
    """log of the probability of all sentences that begin with some words."""
    rows = [r for r in _sentences() if (r[: len(words), 0, 0] == words).all()]
    return np.log(sum(np.exp(np.float64(px.log_prob(r[np.newaxis])[0])) for r in rows))


def _first_two(px, row):
    return _mass(px, row[0, :2, 0, 0])


def _first(px, row):
    return _mass(px, row[0, :1, 0, 0])


def _second_after_unknown(px, row):
    return _mass(px, [tokens.UNKNOWN, row[0, 1, 0, 0]]) - _mass(px, [tokens.UNKNOWN])


def test_a_model_of_sentences_samples_and_scores_them():
    model = perturbed("tiny_text")
    drawn = model.sample(50, seed=1)
    assert drawn.shape == (50, 5, 1, 1)
    np.testing.assert_array_equal(drawn, check_images(drawn, model.spec))
    np.testing.assert_array_equal(drawn, model.sample(50, seed=1))
    score = model.score(drawn, num_importance_samples=5, seed=0)
    assert np.isfinite(score.bound_nats).all()
    assert (score.bound_nats >= score.elbo_nats - 1e-6).all()
    assert "text/embedding" in {v.path for v in model.trainable_variables}


@pytest.mark.parametrize(
    "row", [[3, 0, 0, 0, 0], [1, 1, 0, 0, 0], [3, 1, 4, 0, 0], [3, 9, 1, 0, 0], [3.5, 1, 0, 0, 0]]
)
def test_what_is_no_sentence_is_refused(row):
    spec = architectures.get("tiny_text")
    with pytest.raises(ValueError, match="images: expected"):
        check_images(np.reshape(row, (1, 5, 1, 1)), spec)


def test_a_spec_with_it_is_read_from_its_json():
    spec = architectures.get("tiny_text")
    assert spec.likelihood.x is Observation.SENTENCE and spec.input_shape == (5, 1, 4)
    assert ModelSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"image_shape": (5, 2, 1)}, r"image_shape: expected \(tokens, 1, 1\) for text"),
        ({"image_shape": (5, 1, 3)}, "image_shape: expected 1 channels for text"),
        ({"likelihood": (3,)}, "vocabulary: expected an integer in 4.."),
        ({"likelihood": (9, 4, 5, 3, 1.0)}, r"word_dropout: expected a number in \[0, 1\)"),
    ],
)
def test_wrong_specs_are_named(changes, message):
    with pytest.raises(SpecError, match=message):
        if "likelihood" in changes:
            changes = {"likelihood": Text(*changes["likelihood"])}
        dataclasses.replace(architectures.get("tiny_text"), **changes)


def test_a_saved_model_keeps_the_weights_of_its_decoder(tmp_path):
    model = perturbed("tiny_text")
    sentences = model.sample(6, seed=2)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        again.score(sentences, seed=0).bound_nats, model.score(sentences, seed=0).bound_nats
    )


def test_its_gradients_are_dense_and_reach_every_weight():
    model = perturbed("tiny_text")
    sentences = tf.constant(model.sample(32, seed=2))
    with tf.GradientTape() as tape:
        px = model(sentences, noise=SeededNoise(0), training=True).px
        log_p = px.log_prob(sentences)
    weights = model.likelihood.trainable_variables
    for weight, gradient in zip(weights, tape.gradient(log_p, weights), strict=True):
        assert isinstance(gradient, tf.Tensor) and np.abs(gradient).max() > 0, weight.path
