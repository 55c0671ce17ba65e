"""What the benchmarks share: the work of a model, and times by turns."""
