"""Finds the packages; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

# The flagfiles are a package of the wheel, so that an installation has them; its folder is configs.
setup(packages=[*find_packages(include=["biva_tf", "biva_tf.*"]), "biva_tf.configs"])
