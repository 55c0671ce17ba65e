"""Tools around the package: set-up, comparisons with the original."""
