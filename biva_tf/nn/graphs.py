"""How TensorFlow traces and rewrites the project's graphs."""

import contextlib
import functools
from collections.abc import Iterator

import tensorflow as tf

traced_once = functools.partial(
    tf.function, autograph=False, experimental_attributes={"_noinline": True}
)
"""Decorates a function that a graph calls many times: it is traced once for all of the calls.

The runtime does not inline a copy per call either (`_noinline`), which would take as long as
tracing the copies.
"""


@contextlib.contextmanager
def rewriting(on: bool) -> Iterator[None]:
    """While active, Grappler rewrites graphs as it does by default, and as TF Serving does; or not.

    Rewriting changes the last bits of results.
    """
    options = tf.config.optimizer.get_experimental_options()
    disabled = options.get("disable_meta_optimizer", False)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not on})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": disabled})


def disable_rewriting_on_cpu() -> None:
    """Turns Grappler off where there is no GPU.

    On a CPU, Grappler takes longer than tracing does and makes no training step faster.
    """
    if not tf.config.list_physical_devices("GPU"):
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
