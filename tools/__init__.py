"""Tools around biva_tf: data, benchmarks, TensorFlow 1, serving."""

import biva_tf  # noqa: F401  first, since it keeps TensorFlow's start-up notes off the terminal
