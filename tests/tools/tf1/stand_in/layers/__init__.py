"""Weight-normalised operations, the gated block, and the Gaussian."""

import tensorflow as tf

from ._vae import stochastic_gaussian


def weight_norm(op, x, shape, out_axis, scope, init):
    """op(x, g V / ||V||) + b, with the norm over all axes of V but `out_axis`.

    If `init`, the data-dependent initialisation sets g and b, and the output is its result.
    """
    with tf.variable_scope(scope):
        v = tf.get_variable("V", shape, initializer=tf.random_normal_initializer(0, 0.05))
        g = tf.get_variable("g", [shape[out_axis]], initializer=tf.ones_initializer())
        b = tf.get_variable("b", [shape[out_axis]], initializer=tf.zeros_initializer())
    axes = [axis for axis in range(len(shape)) if axis != out_axis]
    y = op(x, v / tf.sqrt(tf.reduce_sum(v**2, axes, keepdims=True)))
    if not init:
        return g * y + b
    mean, variance = tf.nn.moments(y, list(range(len(y.shape) - 1)))
    scale = 0.01 / tf.sqrt(variance + 1e-10)
    with tf.control_dependencies([g.assign(g * scale), b.assign_sub(mean * scale)]):
        return scale * (y - mean)


def dense(x, units, scope, init):
    return weight_norm(tf.matmul, x, [int(x.shape[1]), units], 1, scope, init)


def nin(x, units, scope, init):
    return conv(x, units, (1, 1), (1, 1), scope, init, matrix=True)


def conv(x, filters, kernel, stride, scope, init, matrix=False):
    """A convolution; its V is [height, width, in, out], or [in, out] if `matrix`."""
    shape = [int(x.shape[-1]), filters] if matrix else [*kernel, int(x.shape[-1]), filters]

    def op(x, w):
        w = tf.reshape(w, [*kernel, int(x.shape[-1]), filters])
        return tf.nn.conv2d(x, w, [1, *stride, 1], "SAME")

    return weight_norm(op, x, shape, len(shape) - 1, scope, init)


def deconv(x, filters, kernel, stride, scope, init):
    height, width, channels = map(int, x.shape[1:])
    size = [tf.shape(x)[0], height * stride[0], width * stride[1], filters]

    def op(x, w):
        return tf.nn.conv2d_transpose(x, w, size, [1, *stride, 1], "SAME")

    return weight_norm(op, x, [*kernel, filters, channels], 2, scope, init)


def _like(aux, x, filters, kernel, scope, init):
    """The block's second input, at the height and width of its first input."""
    ours, theirs = int(x.shape[1]), int(aux.shape[1])
    aux = tf.nn.elu(aux)
    if theirs == ours:
        return nin(aux, filters, f"{scope}_conv_aux", init)
    if theirs > ours:
        ratio = (theirs // ours,) * 2
        return conv(aux, filters, kernel, ratio, f"{scope}_conv_downsample_aux", init)
    ratio = (ours // theirs,) * 2
    return deconv(aux, filters, kernel, ratio, f"{scope}_conv_upsample_aux", init)


def block(x, aux, dim, scope, init, residual=True, transposed=False):
    """The gated residual block of (filters, kernel, stride)."""
    filters, kernel, stride = dim
    out = conv(tf.nn.elu(x), filters, kernel, (1, 1), f"{scope}_conv_in", init)
    if aux is not None:
        out += _like(aux, x, filters, kernel, scope, init)
    last = deconv if transposed and max(stride) > 1 else conv
    out = last(tf.nn.elu(out), 2 * filters, kernel, stride, f"{scope}_conv_out", init)
    value, gate = tf.split(out, 2, 3)
    out = value * tf.sigmoid(gate)
    more = filters - int(x.shape[-1])
    if not residual or more < 0 or int(out.shape[1]) > int(x.shape[1]):
        return out
    if int(out.shape[1]) < int(x.shape[1]):
        x = tf.nn.avg_pool(x, [1, *stride, 1], [1, *stride, 1], "SAME")
    return out + tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, more]])


__all__ = ["block", "dense", "nin", "stochastic_gaussian"]
