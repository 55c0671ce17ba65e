"""The language model to compare models of text with."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import biva_tf
from biva_tf.data.text.sentences import Counts, Sentences
from biva_tf.errors import SettingsError
from tools.experiments import language_model


def test_it_has_about_as_many_parameters_as_asked_for():
    wanted = biva_tf.build("text_small").count_params()
    units = language_model.units_for(wanted, 4003, 64)
    found = language_model.build(4003, 21, 64, units, 0.0).count_params()
    more = language_model.build(4003, 21, 64, units + 1, 0.0).count_params()
    assert found <= wanted < more


def test_its_nats_are_those_of_the_tokens_alone():
    keras.utils.set_random_seed(0)
    model = language_model.build(9, 5, 4, 6, 0.0)
    ids = np.array([[3, 4, 1, 0, 0], [5, 6, 7, 8, 3]], np.uint16)
    split = Sentences(ids, 9, None, Counts(2, 0, 1, 7, 0))
    expected = 0.0
    for row in ids.astype(int):
        log_p = tf.nn.log_softmax(model(np.array([[0, *row[:-1]]]))[0]).numpy()
        expected -= sum(log_p[place, token] for place, token in enumerate(row) if token)
    assert language_model._nats(model, split) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_it_learns(capsys):
    settings = language_model.LanguageModelSettings(
        architecture="text_small", steps=281, learning_rate=0.003
    )
    found = language_model.run(settings)
    assert found.epochs == 1 and 50 < found.perplexity < 1000
    assert "epoch 1: validation perplexity" in capsys.readouterr().out


@pytest.mark.slow
def test_it_keeps_the_weights_of_its_best_epoch_and_stops_in_time(monkeypatch):
    nats, weights = language_model._nats, []
    validation = iter([30.0, 10.0, 20.0])

    def scripted(model, split):
        weights.append(model.get_weights())
        return next(validation, None) or nats(model, split)

    monkeypatch.setattr(language_model, "_nats", scripted)
    settings = language_model.LanguageModelSettings(architecture="tiny_text", steps=3 * 281)
    assert language_model.run(settings).epochs == 3
    *epochs, tested = weights
    same = [all(map(np.array_equal, epoch, tested)) for epoch in epochs]
    assert same == [False, True, False]
    assert language_model.run(dataclasses.replace(settings, seconds=0.001)).epochs == 1


def test_an_architecture_of_images_is_refused():
    settings = language_model.LanguageModelSettings(architecture="tiny_dense")
    with pytest.raises(SettingsError, match="--architecture: expected one of text, got tiny_dense"):
        language_model.run(settings)
