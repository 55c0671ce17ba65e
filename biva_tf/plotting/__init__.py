"""Figures and grids of images, written as PNG files."""
