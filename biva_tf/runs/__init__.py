"""A run: its settings, and the files that it leaves in its model_dir."""
