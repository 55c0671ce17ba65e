"""Training: the step, the optimizer, and the loop of a run around them."""
