"""Tools around biva_tf: data, benchmarks, TensorFlow 1, serving."""

import time

START = time.perf_counter()  # of the imports, for benchmarks

import biva_tf  # noqa: E402, F401  first: it keeps TensorFlow's start-up notes off the terminal
