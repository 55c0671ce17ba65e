"""Dumps what the original TensorFlow 1 program computes for a checkpoint and a batch of images.

This script runs in an environment with Python 3.6 or newer and TensorFlow 1.x, beside a checkout of
the original (github.com/larsmaaloee/BIVA). It imports nothing from this project, so this file alone
can be copied to that environment:

    CUDA_VISIBLE_DEVICES= python dump_reference.py --original=BIVA \\
        --checkpoint=BIVA/output/NAME/model --config=config.json --batch=batch.npy \\
        --output=reference.npz

`config.json` holds the original's constructor arguments input_shape, deterministic_layers,
stochastic_layers and output_distribution, for example

    {"input_shape": [8, 8, 1], "output_distribution": "bernoulli",
     "deterministic_layers": [[[4, [3, 3], [1, 1]]], [[4, [3, 3], [2, 2]]]],
     "stochastic_layers": [3, 2]}

`batch.npy` holds images [n, height, width, channels] in [0, 1], as the original expects them:
binary for "bernoulli", multiples of 1/255 for "discretized". A few images are enough. Then, in the
environment of this project,

    python -m tools.tf1.compare --reference=reference.npz

loads the variables, feeds the images and the noise, and compares every quantity.

The file holds the model's inputs and outputs with dropout off: the parameters of every Gaussian and
of p(x|z), the terms of the bound, the gradients of the training loss, the bound with 4 importance
samples, a sample from the prior, and three steps of Adamax from the checkpoint's weights.

The original draws its noise inside the graph and gives every Gaussian the same fixed seed, so
latents of the same shape share their noise. The file holds the noise that was drawn: each run
fetches its noise together with the outputs that used it, and later runs that need the same noise
are fed with it.

The script fixes one order that the original leaves to chance: an optimiser step updates the
variables only after all gradients are computed.

How it was tested: (a) by hand under TensorFlow 1.15.5 (Python 3.7) on the original's own code, with
checkpoints that its own training loop had written. `compare_tf1` accepts the file of a Bernoulli
model of 8x8 images (240 variables; largest error 2e-5), and that of a mixture of logistics within
2e-4 (two biases after three steps of the optimiser; everything else within 1e-4). Of the full
`mnist_l6`, the outputs agree within 8e-5 and the gradients within 7e-6. (b) In the tests, under
`tf.compat.v1` of TensorFlow 2.21, on a small stand-in that is written from the original's formulas.
With random weights, some gradients of a mixture, in float32, differ by 1e-4 to 8e-4 of their
largest value; use `compare_tf1 --rtol=1e-3` for them.
"""

import argparse
import contextlib
import importlib
import json
import os
import sys
import tempfile

import numpy as np
import tensorflow as tf

_CONFIG_KEYS = ("input_shape", "deterministic_layers", "stochastic_layers", "output_distribution")
_DISTRIBUTIONS = ("bernoulli", "discretized")
_AVERAGE = "/ExponentialMovingAverage"
_LEARNING_RATE = 0.002
_STEPS = 3
_SAMPLES = 4
_SEED = 1  # of the noise of z_L in the sample from the prior; its value does not matter


class DumpError(Exception):
    """An error that the user can fix; its message is one line."""


# Inputs


def read_config(path):
    """Reads the original's arguments that describe the model from a JSON file."""
    try:
        with open(path) as file:
            config = json.load(file)
    except (OSError, ValueError) as e:
        raise DumpError(f"--config: {path}: expected a JSON file ({e})") from e
    for key in _CONFIG_KEYS:
        if not isinstance(config, dict) or key not in config:
            raise DumpError(f"--config: {path}: no key {key!r}")
    config = {key: config[key] for key in _CONFIG_KEYS}
    shape, distribution = config["input_shape"], config["output_distribution"]
    if not isinstance(shape, list) or len(shape) != 3:
        raise DumpError(f"--config: {path}: input_shape: expected three numbers, got {shape!r}")
    if distribution not in _DISTRIBUTIONS:
        expected = " or ".join(_DISTRIBUTIONS)
        raise DumpError(
            f"--config: {path}: output_distribution: expected {expected}, got {distribution!r}"
        )
    return config


def read_batch(path, input_shape):
    """Reads the images, float32 [n, height, width, channels]; they must fit the model's shape."""
    try:
        x = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as e:
        raise DumpError(f"--batch: {path}: expected an npy file of images ({e})") from e
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
        raise DumpError(f"--batch: {path}: expected one array of numbers")
    if x.ndim != 4 or len(x) == 0 or list(x.shape[1:]) != input_shape:
        expected = ", ".join(map(str, input_shape))
        raise DumpError(f"--batch: {path}: expected shape (n, {expected}), got {x.shape}")
    if not (np.min(x) >= 0 and np.max(x) <= 1):  # so that NaN fails
        raise DumpError(
            f"--batch: {path}: expected values in [0, 1], got {np.min(x)} to {np.max(x)}"
        )
    return x.astype(np.float32)


def read_shapes(path, weights):
    """Reads the shape of every variable of a checkpoint, by name.

    Args:
      path: the path of the checkpoint, as tf.train.Saver names it.
      weights: "averages" or "raw". For "averages", the checkpoint must hold moving averages.
    """
    try:
        shapes = tf.train.NewCheckpointReader(path).get_variable_to_shape_map()
    except Exception as e:  # its type differs between the versions of TensorFlow
        reason = str(e).splitlines()[0]
        raise DumpError(
            f"--checkpoint: {path}: expected a checkpoint, named as FOLDER/model ({reason})"
        ) from e
    if weights == "averages" and not any(name.endswith(_AVERAGE) for name in shapes):
        raise DumpError(f"--checkpoint: {path}: holds no moving averages; use --weights=raw")
    return shapes


def saved_variables(path, shapes, weights, variables):
    """The model's variables, by the names of their values in a checkpoint.

    Raises DumpError unless the checkpoint has a value of the right shape for every variable.

    Args:
      path: the path of the checkpoint.
      shapes: the shapes of the values in the checkpoint, by name.
      weights: "averages", to read the moving average of each variable, or "raw".
      variables: the variables of the model.
    """
    suffix = _AVERAGE if weights == "averages" else ""
    names = {_name(v) + suffix: v for v in variables}
    missing = [name for name in names if name not in shapes]
    if missing:
        raise DumpError(
            f"--checkpoint: {path}: does not fit --config: {len(missing)} of {len(names)} "
            f"variables are missing, such as {missing[0]}"
        )
    for name, variable in names.items():
        expected, shape = variable.get_shape().as_list(), list(shapes[name])
        if expected != shape:
            raise DumpError(
                f"--checkpoint: {path}: does not fit --config: {name}: expected {expected}, "
                f"got {shape}"
            )
    return names


# The original


@contextlib.contextmanager
def importable(folder):
    """While active, the original is importable from its folder; leaves no compiled files there."""
    no_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        sys.dont_write_bytecode = no_bytecode


@contextlib.contextmanager
def temporary_working_directory():
    """While active, the working directory is a temporary folder.

    The original's constructor makes a folder of logs in the working directory.
    """
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


@contextlib.contextmanager
def recorded(owner, name, keep=lambda kwargs: True):
    """While active, collects the results of `owner.name(...)` in order, if `keep(kwargs)`."""
    function, results = getattr(owner, name), []

    def recording(*args, **kwargs):
        result = function(*args, **kwargs)
        if keep(kwargs):
            results.append(result)
        return result

    setattr(owner, name, recording)
    try:
        yield results
    finally:
        setattr(owner, name, function)


class Original:
    """The original's graph, with the tensors that the arrays of the file come from.

    Attributes:
      names: the names of the latents: z1_bu, z1_td, z2_bu, ..., zL.
      model: the original's BIVA.
      x_out: the parameters of p(x|z), with z from the posterior.
      noise: for each latent, the standard normal tensor that makes its posterior sample.
      prior_x_out: the parameters of p(x|z), with z from the prior.
      prior_noise: as `noise`, for the samples from the prior. It lacks z_L, which is fed.
      prior_top: the tensor of z_L, which must be fed for a sample from the prior.
    """

    def __init__(self, session, config):
        models = importlib.import_module("models.biva")
        vae = importlib.import_module("layers._vae")
        self._session = session
        self.model = models.BIVA(
            session,
            config["input_shape"],
            config["deterministic_layers"],
            config["stochastic_layers"],
            tf.nn.elu,
            config["output_distribution"],
            model_name="reference",
            dropout_inference=0.0,
            dropout_generative=0.0,
            eps=1e-8,
            is_log_var=True,
            minimum_kl=-2.0,
            ema_decay=None,
        )
        # The Gaussians look up `random_normal` in vae.tf, so that is where it must be replaced.
        gaussians = recorded(vae.tf, "random_normal")
        output_layers = recorded(models, "nin", lambda kwargs: kwargs.get("scope") == "dense")
        with gaussians as draws, output_layers as outputs:
            self.model._define_model()
        self._take_outputs(outputs)
        self._take_noise(draws, len(config["stochastic_layers"]))
        self.prior_top = self.model.q_layers_spatial[-1][0]
        self.variables = self.model.trainable_variables

    def _take_outputs(self, outputs):
        """Takes the output layers: initialisation, posterior and prior, in this order."""
        if len(outputs) != 3:
            raise DumpError(f"--original: expected 3 output layers, its graph has {len(outputs)}")
        _, self.x_out, self.prior_x_out = outputs

    def _take_noise(self, draws, levels):
        """Names the draws by the order of their creation.

        The network is built twice, first for the initialisation. Each time it draws z_1 .. z_L
        bottom-up, then q's top-down samples, then p's samples, both from level L-1 down. After
        that, p draws the samples from the prior, and the bottom-up pass is built once more. The
        tensors of the initialisation must not be fetched: that would run the initialisation and
        overwrite the weights.
        """
        bottom_up = [f"z{i}_bu" for i in range(1, levels)] + [f"z{levels}"]
        top_down = [f"z{i}_td" for i in range(levels - 1, 0, -1)]
        prior = [f"z{i}_{kind}" for i in range(levels - 1, 0, -1) for kind in ("bu", "td")]
        network = bottom_up + top_down + prior
        expected = 2 * len(network) + len(prior) + len(bottom_up)
        if len(draws) != expected:
            raise DumpError(
                f"--original: expected {expected} Gaussians of {levels} levels, "
                f"its graph has {len(draws)}"
            )
        posterior = draws[len(network) :][: len(bottom_up + top_down)]
        self.names = [f"z{i}_{kind}" for i in range(1, levels) for kind in ("bu", "td")]
        self.names.append(f"z{levels}")
        self.noise = dict(_pairs(bottom_up + top_down, posterior))
        self.prior_noise = dict(_pairs(prior, draws[2 * len(network) :][: len(prior)]))

    def run(self, fetches, x, training=False, samples=1, feed=()):
        """Runs the graph on images x.

        Args:
          fetches: as in tf.Session.run.
          x: images [n, height, width, channels].
          training: whether the loss has free bits.
          samples: importance samples per image; the rows of one image are adjacent.
          feed: arrays by the tensor that they replace.
        """
        feed = dict(feed)
        feed[self.model.ph_input] = x
        feed[self.model.ph_eq] = 1
        feed[self.model.ph_iw] = samples
        feed[self.model.ph_temp] = 1.0
        feed[self.model.ph_is_training] = training
        return self._session.run(fetches, feed)

    def train_step(self, gradients):
        """One step of the original's optimiser, which waits until all gradients are computed.

        The gradient of a dense layer reads V. Without the wait, it might read the updated V.
        """
        adamax = importlib.import_module("utils").AdamaxOptimizer(_LEARNING_RATE, 0.9, 0.999)
        with tf.control_dependencies(gradients):
            return adamax.apply_gradients(_pairs(gradients, self.variables))


# The arrays of the file


def posterior_arrays(original, gradients, x):
    """The outputs with z from the posterior, the gradients of the training loss, and the noise."""
    model, arrays = original.model, {"x": x}
    fetched = original.run(
        {
            "noise": original.noise,
            "q": model.q_layers_spatial,
            "p": model.p_layers_spatial,
            "log_ratio": model.op_kls,
            "x_out": original.x_out,
            "nll": model.op_nll,
            "loss": model.op_loss,
            "gradients": gradients,
        },
        x,
        training=True,
    )
    for name, log_ratio in _pairs(original.names, fetched["log_ratio"]):
        arrays[f"noise/{name}"] = fetched["noise"][name]
        arrays[f"out/log_p_minus_log_q/{name}"] = log_ratio.reshape(-1)
    # z_L has no learnt prior.
    for kind, names in (("q", original.names), ("p", original.names[:-1])):
        for name, (_, mean, log_variance) in _pairs(names, fetched[kind]):
            arrays[f"out/{kind}_mean/{name}"] = mean
            arrays[f"out/{kind}_logvar/{name}"] = log_variance
    for variable, gradient in _pairs(original.variables, fetched["gradients"]):
        arrays[f"grad/{_name(variable)}"] = gradient
    arrays["out/x_out"] = fetched["x_out"]
    arrays["out/nll_mean"] = fetched["nll"]
    arrays["out/loss_train_free_bits_2"] = fetched["loss"]
    feed = _noise_feed(original, arrays)
    arrays["out/loss_eval"] = original.run(model.op_loss, x, feed=feed)
    return arrays


def importance_arrays(original, x):
    """The bound with several importance samples, and their noise; rows of an image are adjacent."""
    loss, noise = original.run([original.model.op_loss, original.noise], x, samples=_SAMPLES)
    arrays = {f"iw{_SAMPLES}/noise/{name}": value for name, value in noise.items()}
    arrays[f"iw{_SAMPLES}/loss_eval"] = loss
    return arrays


def prior_arrays(original, x):
    """A sample from the prior for each image of x; only the number of images matters."""
    top = original.names[-1]
    shape = [len(x), *original.prior_top.get_shape().as_list()[1:]]
    z = np.random.RandomState(_SEED).normal(size=shape).astype(np.float32)
    x_out, noise = original.run(
        [original.prior_x_out, original.prior_noise], x, feed={original.prior_top: z}
    )
    noise[top] = z  # the prior of z_L is N(0, I)
    arrays = {f"gen/noise/{name}": value for name, value in noise.items()}
    arrays["gen/x_out"] = x_out
    return arrays


def optimiser_arrays(original, train_step, arrays):
    """Three optimiser steps on the images and noise of `arrays`. Changes the variables."""
    x, feed, loss = arrays["x"], _noise_feed(original, arrays), original.model.op_loss
    losses = []
    for _ in range(_STEPS):
        losses.append(original.run([loss, train_step], x, training=True, feed=feed)[0])
    final, values = original.run([loss, original.variables], x, training=True, feed=feed)
    result = {"adamax/loss_before_step": losses, f"adamax/loss_after_{_STEPS}": final}
    for variable, value in _pairs(original.variables, values):
        result[f"adamax/var{_STEPS}/{_name(variable)}"] = value
    return result


def _noise_feed(original, arrays):
    return {tensor: arrays[f"noise/{name}"] for name, tensor in original.noise.items()}


def dump(config, x, checkpoint, shapes, weights):
    """Every array of the file by its key."""
    with tf.Graph().as_default(), tf.Session() as session:
        original = Original(session, config)
        names = saved_variables(checkpoint, shapes, weights, original.variables)
        gradients = tf.gradients(original.model.op_loss, original.variables)
        train_step = original.train_step(gradients)
        session.run(tf.global_variables_initializer())  # for the variables of the optimiser
        tf.train.Saver(names).restore(session, checkpoint)

        values = session.run(original.variables)
        arrays = {f"var/{_name(v)}": value for v, value in _pairs(original.variables, values)}
        arrays.update(posterior_arrays(original, gradients, x))
        arrays.update(importance_arrays(original, x))
        arrays.update(prior_arrays(original, x))
        arrays.update(optimiser_arrays(original, train_step, arrays))
        arrays = {key: np.asarray(value, np.float32) for key, value in arrays.items()}
        variables = [[_name(v), v.get_shape().as_list()] for v in original.variables]
        described = dict(config, latent_order=original.names, variables=variables)
        arrays["config_json"] = np.array(json.dumps(described))
        return arrays


def _name(variable):
    return variable.name.split(":")[0]


def _pairs(first, second):
    if len(first) != len(second):
        raise ValueError(f"expected as many of both, got {len(first)} and {len(second)}")
    return list(zip(first, second))  # noqa: B905 - Python 3.6 has no strict=


# The command


def write(path, arrays):
    """Writes an npz file, completely or not at all."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, path)
    except BaseException:
        os.remove(temporary)
        raise


def parse(argv):
    """Parses the arguments and makes their paths absolute."""
    parser = argparse.ArgumentParser(
        prog="dump_reference", description=__doc__.splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--original", required=True, help="folder of the checkout")
    parser.add_argument("--checkpoint", required=True, help="FOLDER/model, without .index or .meta")
    parser.add_argument("--config", required=True, help="JSON file of the constructor's arguments")
    parser.add_argument("--batch", required=True, help="npy file of images [n, h, w, c] in [0, 1]")
    parser.add_argument("--output", required=True, help="npz file to write")
    parser.add_argument(
        "--weights",
        choices=("averages", "raw"),
        default="averages",
        help="the moving averages, which the original evaluates with, or the variables themselves",
    )
    args = parser.parse_args(argv)
    for name in ("original", "checkpoint", "config", "batch", "output"):
        setattr(args, name, os.path.abspath(getattr(args, name)))
    return args


def run(args):
    """Writes the file that the arguments ask for."""
    if os.path.exists(args.output):
        raise DumpError(f"--output: {args.output} exists")
    if not os.path.isdir(os.path.dirname(args.output)):
        raise DumpError(f"--output: {os.path.dirname(args.output)}: no such folder")
    if not os.path.exists(os.path.join(args.original, "models", "biva.py")):
        raise DumpError(f"--original: {args.original}: expected a checkout of the original")
    config = read_config(args.config)
    x = read_batch(args.batch, config["input_shape"])
    shapes = read_shapes(args.checkpoint, args.weights)
    with importable(args.original), temporary_working_directory():
        arrays = dump(config, x, args.checkpoint, shapes, args.weights)
    infinite = [key for key in arrays if arrays[key].dtype.kind == "f" and not _finite(arrays[key])]
    if infinite:
        raise DumpError(f"the original computes values that are not finite: {infinite[0]}")
    write(args.output, arrays)
    print(f"{args.output}: {len(arrays)} arrays, {len(x)} images, --weights={args.weights}")


def _finite(array):
    return bool(np.all(np.isfinite(array)))


def main(argv=None):
    """Runs the command and returns its exit code."""
    try:
        run(parse(argv))
    except DumpError as e:
        print(f"dump_reference: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
