"""Tools around biva_tf: experiments, benchmarks, TensorFlow 1, releases."""

import sys

if sys.argv[:1] == ["-m"]:  # Python is starting a tool, not importing this package for a user
    import biva_tf  # noqa: F401  # so that TensorFlow comes without its notes, once it is imported
