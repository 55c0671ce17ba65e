"""Reads images of a user from files: pictures, .npy, .npz, Parquet, and folders of them.

One set of rules for all commands; biva_tf/data/README.md has them.
"""
