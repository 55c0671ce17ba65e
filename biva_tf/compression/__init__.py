"""Lossless compression of images: the bound of a model as the length of a file."""
