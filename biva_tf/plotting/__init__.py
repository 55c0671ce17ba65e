"""Figures and grids of images as PNG files, and pages that show them."""
