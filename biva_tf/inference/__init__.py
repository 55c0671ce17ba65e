"""Computations with a model: bounds, scores, samples, and pictures of its latents."""
