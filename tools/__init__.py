"""Tools around biva_tf: data, benchmarks, TensorFlow 1, serving."""

import biva_tf  # noqa: F401  imported first, to keep TensorFlow's start-up notes off the terminal
