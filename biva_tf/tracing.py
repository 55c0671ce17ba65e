"""Functions that a graph calls many times."""

import functools

import tensorflow as tf

shared = functools.partial(
    tf.function, autograph=False, experimental_attributes={"_noinline": True}
)
"""Decorates a function that many places of a graph call: it is traced once for all of them.

Nor is it copied into them when the graph is started, which takes as long as tracing it did.
"""
