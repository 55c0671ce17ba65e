"""Trains a language model without latents, to compare with models of text:

    python -m tools.experiments.language_model --dataset=glosses --steps=2000

A Keras LSTM reads the words of a sentence and predicts the next one, with the vocabulary and the
splits of --architecture. Its embeddings are its output weights too, as in the model of text, and it
has about as many parameters. After every epoch it is scored on the
validation split, and the best weights are scored on the test split.
"""

import dataclasses
import math
import time

import keras
import numpy as np
import tensorflow as tf

import biva_tf
from biva_tf.commands.start import start
from biva_tf.data import pipeline, sources
from biva_tf.data.sources import Location
from biva_tf.data.text.sentences import Form, Sentences
from biva_tf.errors import SettingsError
from biva_tf.inference.objectives import perplexity
from biva_tf.model import architectures, tokens
from biva_tf.settings import Settings, setting
from tools.experiments import sweep

_BATCH = 64


@dataclasses.dataclass(frozen=True)
class LanguageModelSettings(Settings):
    """The settings of `python -m tools.experiments.language_model`."""

    architecture: str = setting("text_small", "The model of text to compare with.")
    dataset: str = setting("glosses", "The data set of text.", choices=sources.names())
    data_dir: str = setting(sources.default_data_dir(), "The folder of prepared data sets.")
    validation_size: int = setting(
        1000, "Validation sentences, if the data set has no validation split.", lower=1
    )
    steps: int = setting(2000, "The most training steps, of 64 sentences each.", lower=1)
    seconds: float | None = setting(
        None, "Stop after the epoch in which this time has passed.", lower=0.0
    )
    learning_rate: float = setting(0.001, "Adam's learning rate.", lower=0.0)
    dropout: float = setting(0.3, "The dropout rate of embeddings and states.", lower=0.0)
    seed: int = setting(0, "Seed of the weights and of the order of the sentences.", lower=0)


@dataclasses.dataclass(frozen=True)
class LanguageModelResult:
    """The result on the test split.

    Attributes:
      parameters: the model's number of parameters.
      units: the LSTM's number of units.
      epochs: the number of epochs.
      seconds: the training time.
      nats: -log p(x), the mean over the sentences.
      perplexity: the perplexity per token, ends of sentences included.
    """

    parameters: int
    units: int
    epochs: int
    seconds: float
    nats: float
    perplexity: float


class _TiedLogits(keras.layers.Layer):
    """Logits of the next token by the embeddings of all tokens."""

    def __init__(self, embedding: keras.layers.Embedding):
        super().__init__(name="logits")
        self._embedding = embedding

    def build(self, input_shape):
        """Makes the bias."""
        shape = (self._embedding.input_dim,)
        self._bias = self.add_weight(shape=shape, initializer="zeros", name="bias")

    def call(self, inputs):
        """[rows, length, embedding units] to [rows, length, ids]."""
        return (
            keras.ops.matmul(inputs, keras.ops.transpose(self._embedding.embeddings)) + self._bias
        )


def build(ids: int, length: int, embedding_units: int, units: int, dropout: float):
    """The language model: from the token before each place to the logits of the token there."""
    inputs = keras.Input((length,), dtype="int32")
    embedding = keras.layers.Embedding(ids, embedding_units, name="embedding")
    hidden = keras.layers.Dropout(dropout)(embedding(inputs))
    hidden = keras.layers.LSTM(units, return_sequences=True)(hidden)
    hidden = keras.layers.Dropout(dropout)(hidden)
    hidden = keras.layers.Dense(embedding_units)(hidden)
    return keras.Model(inputs, _TiedLogits(embedding)(hidden))


def units_for(parameters: int, ids: int, embedding_units: int) -> int:
    """The LSTM's units that give the language model about this number of parameters."""

    def count(units: int) -> int:
        lstm = 4 * units * (embedding_units + units + 1)
        return ids * (embedding_units + 1) + lstm + (units + 1) * embedding_units

    return max(1, sum(count(units) <= parameters for units in range(1, 4096)))


def _pairs(split: Sentences) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The token before each place, the token there, and 1 where there is one."""
    ids = split.ids.astype(np.int32)
    before = np.pad(ids[:, :-1], [(0, 0), (1, 0)], constant_values=tokens.PADDING)
    return before, ids, (ids != tokens.PADDING).astype(np.float32)


def _nats(model: keras.Model, split: Sentences) -> float:
    """-log p of all sentences of a split."""
    total = 0.0
    for first in range(0, len(split), _BATCH):
        before, after, mask = (part[first : first + _BATCH] for part in _pairs(split))
        logits = model(before, training=False)
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(after, logits)
        total += float(tf.reduce_sum(nats * mask))
    return total


def run(settings: LanguageModelSettings) -> LanguageModelResult:
    """Trains the language model and scores the test split.

    Raises:
      SettingsError: the architecture is not one of text.
      DataError: the data set is missing or is not text.
    """
    spec = architectures.read(settings.architecture)
    form = Form.for_spec(spec)
    if form is None:
        got = settings.architecture
        raise SettingsError(f"--architecture: expected one of text, got {got}")
    location = Location.from_text(settings.data_dir)
    config = pipeline.DataConfig(settings.dataset, location, "none", 127, settings.validation_size)
    data = pipeline.load(config, settings.seed, form=form)
    keras.utils.set_random_seed(settings.seed)
    parameters, embedding = biva_tf.build(spec).count_params(), spec.likelihood.embedding_units
    units = units_for(parameters, form.size, embedding)
    model = build(form.size, form.length, embedding, units, settings.dropout)
    model.compile(
        keras.optimizers.Adam(settings.learning_rate, clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    before, after, mask = _pairs(data.train.images)
    epochs = max(1, settings.steps // (len(before) // _BATCH))
    best, weights, spent, done = math.inf, model.get_weights(), 0.0, 0
    while done < epochs and (settings.seconds is None or spent < settings.seconds):
        began = time.monotonic()
        model.fit(before, after, _BATCH, sample_weight=mask, verbose=0)
        spent, done = spent + time.monotonic() - began, done + 1
        nats = _nats(model, data.validation)
        if nats < best:
            best, weights = nats, model.get_weights()
        result = perplexity(-nats, data.validation.tokens)
        print(f"epoch {done}: validation perplexity {result:.2f}, {spent:.0f} seconds", flush=True)
    model.set_weights(weights)
    nats = _nats(model, data.test)
    return LanguageModelResult(
        parameters=model.count_params(),
        units=units,
        epochs=done,
        seconds=spent,
        nats=nats / len(data.test),
        perplexity=perplexity(-nats, data.test.tokens),
    )


def _print(settings: LanguageModelSettings) -> None:
    result = run(settings)
    line = (
        f"{settings.dataset} test, LSTM of {result.units} units, {result.parameters:,} parameters: "
        f"{result.nats:.3f} nats per sentence, perplexity {result.perplexity:.2f} per token"
    )
    sweep.show([line], dataclasses.asdict(result))


if __name__ == "__main__":
    start("language_model", LanguageModelSettings, _print)
