"""Sentences: from lines of text to the ids that a model reads, and back."""
