"""Makes the trained models and the data that ship with the project."""
