"""BIVA with dense latents and Bernoulli images, without dropout."""

import os

import numpy as np
import tensorflow as tf
from layers import block, dense, nin, stochastic_gaussian


class BIVA:
    """The model; its tensors exist after `_define_model`."""

    def __init__(
        self,
        session,
        input_shape,
        deterministic_layers,
        stochastic_layers,
        activation,
        output_distribution,
        model_name="",
        dropout_inference=0.0,
        dropout_generative=0.0,
        eps=0.0,
        is_log_var=True,
        minimum_kl=0.0,
        ema_decay=0.9995,
    ):
        assert activation is tf.nn.elu and output_distribution == "bernoulli"
        assert is_log_var and not dropout_inference and not dropout_generative
        self.input_shape, self.eps, self.minimum_kl = input_shape, eps, minimum_kl
        self.blocks, self.units = deterministic_layers, stochastic_layers
        self.ema = tf.train.ExponentialMovingAverage(ema_decay) if ema_decay else None
        self.ph_input = tf.placeholder(tf.float32, [None, *input_shape])
        self.ph_iw, self.ph_eq = tf.placeholder(tf.int32), tf.placeholder(tf.int32)
        self.ph_temp = tf.placeholder(tf.float32)
        self.ph_is_training = tf.placeholder(tf.bool)
        self.init = False
        os.makedirs(os.path.join("output", model_name))

    def _define_model(self):
        with tf.variable_scope("BIVA", reuse=tf.AUTO_REUSE):
            self._construct()
        self.trainable_variables = tf.trainable_variables("BIVA")
        if self.ema:
            self.ema.apply(self.trainable_variables)
        self.global_variables = tf.global_variables("BIVA")

    def _construct(self):
        samples = self.ph_eq * self.ph_iw
        x = tf.tile(self.ph_input[:, None], [1, samples, 1, 1, 1])
        x = tf.reshape(x, [-1, *self.input_shape])
        self.init = True
        self._network(x)
        self.init = False
        bottom_up, q, p, shapes, logits = self._network(x)
        self.q_layers_spatial, self.p_layers_spatial = q, p
        self.op_kls = _log_ratios(q, p)
        errors = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
        log_likelihood = -tf.reduce_sum(errors, [1, 2, 3])[:, None]
        self.op_nll = -tf.reduce_mean(log_likelihood)
        bound = log_likelihood + self.ph_temp * tf.add_n([self._kept(t) for t in self.op_kls])
        bound = tf.reshape(bound, [-1, self.ph_eq, self.ph_iw])
        bound = tf.reduce_logsumexp(bound, 2) - tf.log(tf.cast(self.ph_iw, tf.float32))
        self.op_loss = -tf.reduce_mean(bound)
        d = self._decode(bottom_up[-1][0], shapes, lambda level, d: self._prior(level, d)[::-1])
        self.op_generate = self._logits(d)
        self.op_inference = self._bottom_up(x)[0][-1][0]

    def _kept(self, term):
        """The term of a latent, limited by the free bits in training."""
        return tf.cond(self.ph_is_training, lambda: tf.minimum(self.minimum_kl, term), lambda: term)

    def _network(self, x):
        """(Bottom-up q, q and p in the order z1_bu, z1_td, ..., feature shapes, logits)."""
        bottom_up, td, shape = self._bottom_up(x)
        top_down, shapes = {}, [shape]

        def infer(level, d):
            filters, kernel, _ = self.blocks[level][0]
            scope = f"qz_top_down_pz_merge_{level}"
            h = block(td[level - 1], d, (filters, kernel, (1, 1)), scope, self.init)
            shapes.append(_shape(h))
            top_down[level] = self._stochastic(h, level, f"qz_top_down_{level}")
            return top_down[level], bottom_up[level - 1]

        self._decode(bottom_up[-1][0], shapes, infer)
        priors = {}

        def prior(level, d):
            priors[level] = self._prior(level, d)
            return top_down[level], bottom_up[level - 1]

        d = self._decode(bottom_up[-1][0], shapes, prior)
        q = [z for level in sorted(top_down) for z in (bottom_up[level - 1], top_down[level])]
        p = [z for level in sorted(priors) for z in priors[level]]
        return bottom_up, [*q, bottom_up[-1]], p, shapes, self._logits(d)

    def _bottom_up(self, x):
        """(q(z_1) .. q(z_L), td_1 .. td_L, the shape of the features below z_L)."""
        latents, bu, td = [], [], []
        d_bu = d_td = x
        for i, dims in enumerate(self.blocks):
            aux = tf.concat([bu[-1], td[-1]], -1) if i else None
            for j, dim in enumerate(dims):
                scope = f"deterministic_bottom_up_{i}_{j}"
                d_bu = block(d_bu, aux, dim, scope, self.init, residual=i + j > 0)
            bu.append(d_bu)
            for j, dim in enumerate(dims):
                scope = f"deterministic_top_down_{i}_{j}"
                d_td = block(d_td, d_bu, dim, scope, self.init, residual=i + j > 0)
            td.append(d_td)
            if i < len(self.blocks) - 1:
                latents.append(self._stochastic(d_bu, i + 1, f"qz_bottom_up_{i + 1}"))
                d_bu = self._expand(latents[-1][0], _shape(d_bu), f"dense2conv_bottom_up_{i + 1}")
        filters, kernel, _ = self.blocks[-1][-1]
        h = tf.concat([d_td, d_bu], -1)
        h = block(h, None, (filters, kernel, (1, 1)), "deterministic_top", self.init)
        levels = len(self.blocks)
        latents.append(self._stochastic(h, levels, f"qz_top_{levels}"))
        return latents, td, _shape(h)

    def _decode(self, z, shapes, choose):
        """d_1 from z_L; `choose(level, d)` gives the (td, bu) Gaussians that samples are from."""
        outputs = [None] * len(self.blocks[0])
        for i, dims in enumerate(reversed(self.blocks)):
            level = len(self.blocks) - 1 - i  # of the latent below
            d = self._expand(z, shapes[i], f"dense2conv_{level}")
            for j, dim in enumerate(reversed(dims)):
                scope = f"deterministic_generative_{i}_{j}"
                d = block(d, outputs[j], dim, scope, self.init, residual=j > 0, transposed=True)
                outputs[j] = d
            if level:
                z = tf.concat([gaussian[0] for gaussian in choose(level, d)], -1)
        return d

    def _prior(self, level, d):
        """The (bu, td) Gaussians of p."""
        kinds = ("bottom_up", "top_down")
        return [self._stochastic(d, level, f"pz_{kind}_{level}") for kind in kinds]

    def _stochastic(self, h, level, scope):
        """(Sample, mean, log-variance)."""
        h = tf.reshape(tf.nn.elu(h), [-1, int(np.prod(_shape(h)))])
        mean = dense(h, self.units[level - 1], f"{scope}_mean", self.init)
        raw = dense(h, self.units[level - 1], f"{scope}_var", self.init)
        log_variance = tf.nn.softplus(raw) + self.eps
        return stochastic_gaussian(mean, log_variance), mean, log_variance

    def _expand(self, z, shape, scope):
        return tf.reshape(dense(z, int(np.prod(shape)), scope, self.init), [-1, *shape])

    def _logits(self, d):
        return nin(tf.nn.elu(d), self.input_shape[-1], scope="dense", init=self.init)


def _shape(x):
    return [int(n) for n in x.shape[1:]]


def _log_ratios(q, p):
    """log p(z) - log q(z) of each latent, [rows, 1]."""
    terms = []
    for i, (z, mean, log_variance) in enumerate(q):
        _, p_mean, p_log_variance = p[i] if i < len(p) else (None, 0.0, tf.zeros_like(z))
        log_q = log_variance + (z - mean) ** 2 / tf.exp(log_variance)
        log_p = p_log_variance + (z - p_mean) ** 2 / tf.exp(p_log_variance)
        terms.append(tf.reduce_sum(log_q - log_p, -1, keepdims=True) / 2)
    return terms
