"""The model: its spec, its stages, and the two passes through them."""
