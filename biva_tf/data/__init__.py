"""Data sets as arrays: sources, splits, binarisation, and batches by step number."""
