"""Code that the benchmarks share: the work of a model, and timing in turns."""
