"""The optimiser."""

import tensorflow as tf


class AdamaxOptimizer(tf.train.Optimizer):
    """v <- b1 v + (1 - b1) grad; m <- max(b2 m + 1e-8, |grad|); w <- w - lr v / m."""

    def __init__(self, learning_rate, beta1, beta2):
        super().__init__(False, "Adamax")
        self._rates = learning_rate, beta1, beta2

    def _create_slots(self, var_list):
        for variable in var_list:
            self._zeros_slot(variable, "v", self._name)
            self._zeros_slot(variable, "m", self._name)

    def _apply_dense(self, grad, var):
        learning_rate, beta1, beta2 = self._rates
        v, m = self.get_slot(var, "v"), self.get_slot(var, "m")
        v = v.assign(beta1 * v + (1 - beta1) * grad)
        m = m.assign(tf.maximum(beta2 * m + 1e-8, tf.abs(grad)))
        return var.assign_sub(learning_rate * v / m)
