"""The parts of `tools.score_dataset`."""
