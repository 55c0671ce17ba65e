"""p(x|z) of sentences: a recurrent decoder of the preceding tokens and the top-down features.

    p(x|z) = product over t of p(x_t | x_1 ... x_{t-1}, d_t)

with d_t the features that the top-down pass gives for place t. A GRU reads the embedding of x_{t-1}
and d_t; its state h_t and, past it, d_t once more give the logits of x_t. Nothing follows the end
of a sentence, so padding has no probability and costs nothing.
"""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from biva_tf.model import tokens
from biva_tf.model.noise import Noise
from biva_tf.model.observations import Text

_DRAW, _WORD_DROPOUT = "x/likelihood", "x/word_dropout"
_EMBEDDING_STDDEV = 0.1  # of the initial embeddings


class TextLikelihood(keras.layers.Layer):
    """Sentences as maps [length, 1, 1] of ids. Its image is a draw, token by token.

    The embeddings of the tokens are also the weights of the output (Press & Wolf 2017). The layer
    computes in float32.

    Args:
      spec: the sizes.
      image_shape: (length, 1, 1).
    """

    def __init__(self, spec: Text, image_shape: tuple[int, int, int]):
        super().__init__(name="text")
        self._length = image_shape[0]
        self._word_dropout = spec.word_dropout
        self.num_parameters = spec.feature_units
        normal = keras.initializers.RandomNormal(stddev=_EMBEDDING_STDDEV)
        shape = (spec.vocabulary, spec.embedding_units)
        self._embedding = self.add_weight(shape=shape, initializer=normal, name="embedding")
        # No logit for padding: ids from END on have the logits 0, 1, ...
        number = spec.vocabulary - tokens.END
        self._bias = self.add_weight(shape=(number,), initializer="zeros", name="bias")
        self.recurrent = keras.layers.GRU(
            spec.decoder_units, return_sequences=True, name="text_gru"
        )
        self.recurrent.build((None, self._length, spec.embedding_units + spec.feature_units))
        self._output = keras.layers.Dense(spec.embedding_units, name="text_output")
        self._output.build((None, spec.decoder_units + spec.feature_units))
        self.built = True

    def build(self, input_shape):
        """Does nothing: the constructor made the weights."""

    def network_input(self, images: tf.Tensor) -> tf.Tensor:
        """The embeddings of the tokens, [rows, length, 1, embedding units]."""
        return self._embed(tf.cast(images[..., 0], tf.int32))

    def distribution(
        self, parameters: tf.Tensor, training_noise: Noise | None = None
    ) -> "SentenceDistribution":
        """p(x|z) given the features of each place; in training with word dropout."""
        features, dropped = tf.squeeze(parameters, axis=2), None
        if training_noise is not None and self._word_dropout:
            shape = (tf.shape(features)[0], self._length)
            dropped = training_noise.uniform(_WORD_DROPOUT, shape) < self._word_dropout
        return SentenceDistribution(self, features, dropped)

    def image(self, px: "SentenceDistribution", noise: Noise) -> tf.Tensor:
        """A draw."""
        rows = tf.shape(px.features)[0]
        return px.from_uniforms(noise.uniform(_DRAW, (rows, self._length)))

    def reconstruction(self, px: "SentenceDistribution", noise: Noise) -> tf.Tensor:
        """At each place the most probable token, given those chosen before."""
        return px.greedy()

    def log_prob(
        self, features: tf.Tensor, images: tf.Tensor, dropped: tf.Tensor | None
    ) -> tf.Tensor:
        """log p(x|z), [rows], nats: the sum over the tokens of a sentence, its end included.

        Args:
          features: [rows, length, feature units].
          images: ids, [rows, length, 1, 1].
          dropped: where the decoder reads an unknown word in place of the token, bool
            [rows, length]; None for nowhere. Place t is that of the token which is read there,
            x_{t-1}.
        """
        ids = tf.cast(images[..., 0, 0], tf.int32)
        before = tf.pad(ids[:, :-1], [[0, 0], [1, 0]], constant_values=tokens.PADDING)
        if dropped is not None:
            before = tf.where(dropped & (before != tokens.PADDING), tokens.UNKNOWN, before)
        states = self.recurrent(tf.concat([self._embed(before), features], axis=-1))
        outputs = tf.concat([states, features], axis=-1)
        # The logits are computed where there is a token, since they are most of the work.
        at = tf.where(tf.reshape(ids != tokens.PADDING, [-1]))[:, 0]
        logits = self._logits(_rows(tf.reshape(outputs, (-1, outputs.shape[-1])), at))
        targets = tf.gather(tf.reshape(ids, [-1]), at) - tokens.END
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        return -tf.math.unsorted_segment_sum(nats, at // self._length, tf.shape(ids)[0])

    def decode(self, features: tf.Tensor, choose) -> tf.Tensor:
        """Sentences, token by token: float32 [rows, length, 1, 1].

        Args:
          features: [rows, length, feature units].
          choose: maps a place, 0 ... length - 1, and the logits there, [rows, ids from END on], to
            the index of the chosen logit, int32 [rows].
        """
        rows = tf.shape(features)[0]
        token = tf.fill([rows], tokens.PADDING)
        ended = tf.zeros([rows], tf.bool)
        states = [tf.zeros([rows, self.recurrent.units])]
        chosen = []
        for place in range(self._length):
            read = tf.concat([self._embed(token), features[:, place]], axis=-1)
            state, states = self.recurrent.cell(read, states)
            logits = self._logits(tf.concat([state, features[:, place]], axis=-1))
            token = tf.where(ended, tokens.PADDING, choose(place, logits) + tokens.END)
            ended |= token == tokens.END
            chosen.append(token)
        return tf.cast(tf.stack(chosen, axis=1), tf.float32)[..., tf.newaxis, tf.newaxis]

    def _embed(self, ids: tf.Tensor) -> tf.Tensor:
        """[...] to [..., embedding units]."""
        table = tf.convert_to_tensor(self._embedding.value)
        embedded = _rows(table, tf.reshape(ids, [-1]))
        return tf.reshape(embedded, tf.concat([tf.shape(ids), table.shape[1:]], axis=0))

    def _logits(self, outputs: tf.Tensor) -> tf.Tensor:
        """[n, decoder units + feature units] to [n, ids from END on]."""
        weights = tf.convert_to_tensor(self._embedding.value)[tokens.END :]
        bias = tf.convert_to_tensor(self._bias.value)
        return tf.matmul(self._output(outputs), weights, transpose_b=True) + bias


class SentenceDistribution(tfp.distributions.Distribution):
    """p(x|z) over sentences.

    Args:
      likelihood: with the weights of the decoder.
      features: the features of each place, [rows, length, feature units].
      dropped: as in `TextLikelihood.log_prob`.

    `log_prob` of ids [rows, length, 1, 1] gives [rows], in nats.
    """

    def __init__(
        self,
        likelihood: TextLikelihood,
        features: tf.Tensor,
        dropped: tf.Tensor | None = None,
        name: str = "SentenceDistribution",
    ):
        parameters = dict(locals())
        self._likelihood, self.features, self._dropped = likelihood, features, dropped
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfp.distributions.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def from_uniforms(self, uniforms: tf.Tensor) -> tf.Tensor:
        """A draw from uniform numbers in [0, 1), [rows, length], by inverse distribution functions.

        Returns:
          ids, float32 [rows, length, 1, 1].
        """

        def choose(place, logits):
            below = tf.cumsum(tf.nn.softmax(logits), axis=-1)
            # Scaled by the last sum: by rounding it may differ from 1.
            reached = uniforms[:, place, tf.newaxis] * below[:, -1:]
            index = tf.reduce_sum(tf.cast(below <= reached, tf.int32), axis=-1)
            return tf.minimum(index, logits.shape[-1] - 1)

        return self._likelihood.decode(self.features, choose)

    def greedy(self) -> tf.Tensor:
        """At each place the most probable token, given those before: ids [rows, length, 1, 1]."""
        return self._likelihood.decode(
            self.features, lambda place, logits: tf.argmax(logits, axis=-1, output_type=tf.int32)
        )

    def _batch_shape(self):
        return self.features.shape[:1]

    def _batch_shape_tensor(self):
        return tf.shape(self.features)[:1]

    def _event_shape(self):
        return tf.TensorShape([self.features.shape[1], 1, 1])

    def _event_shape_tensor(self):
        return tf.constant([self.features.shape[1], 1, 1])

    def _log_prob(self, x):
        return self._likelihood.log_prob(self.features, x, self._dropped)


@tf.custom_gradient
def _rows(table: tf.Tensor, places: tf.Tensor):
    """Rows of a table [n, units] at places [m], with a dense gradient.

    That of `tf.gather` is sparse, and neither an all-reduce nor the optimizer expects it.
    """

    def gradients(upstream):
        return tf.math.unsorted_segment_sum(upstream, places, tf.shape(table)[0]), None

    return tf.gather(table, places), gradients
