"""The version of biva_tf, which everything that it writes names."""

__version__ = "0.2.0"
