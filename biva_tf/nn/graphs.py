"""How TensorFlow traces and rewrites the project's graphs."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context


def traced_once(function: Callable) -> Callable:
    """Decorates a function that a graph calls many times: it is traced once for all of the calls.

    The runtime does not inline a copy per call either (`_noinline`), which would take as long as
    tracing the copies. Outside of graphs the function runs op by op: a model has many shapes, and
    TensorFlow would warn the user of the retracing.
    """
    traced = tf.function(function, autograph=False, experimental_attributes={"_noinline": True})

    @functools.wraps(function)
    def call(*args):
        return function(*args) if tf.executing_eagerly() else traced(*args)

    return call


def call(function: Any, *args):
    """Calls a `tf.function` which has a graph for each shape of its arguments, on purpose.

    TensorFlow takes its tracing for a mistake, and would warn the user of it.
    """
    function._omit_frequent_tracing_warning = True
    return function(*args)


@contextlib.contextmanager
def rewriting(on: bool) -> Iterator[None]:
    """While active, Grappler rewrites graphs as it does by default, and as TF Serving does; or not.

    It concerns the graphs that this thread calls, and leaves `tf.config.optimizer` alone. Rewriting
    changes the last bits of results.
    """
    eager = context.context()
    before = eager.function_call_options
    config = tf.compat.v1.ConfigProto.FromString(before.config_proto_serialized)
    config.graph_options.rewrite_options.disable_meta_optimizer = not on
    eager.function_call_options = context.FunctionCallOptions(before.executor_type, config)
    try:
        yield
    finally:
        eager.function_call_options = before


def disable_rewriting_on_cpu() -> None:
    """Turns Grappler off where there is no GPU.

    On a CPU, Grappler takes longer than tracing does and makes no training step faster.
    """
    if not tf.config.list_physical_devices("GPU"):
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
