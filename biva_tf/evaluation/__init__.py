"""Evaluation of a trained model on whole data sets, resumable."""
