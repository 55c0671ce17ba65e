"""Finds the packages; everything else is in pyproject.toml."""

from setuptools import find_namespace_packages, setup

# Each trained model is a folder of data, which setuptools takes for a package too.
packages = find_namespace_packages(include=["biva_tf", "biva_tf.*"], exclude=["*.__pycache__"])

# The flagfiles are a package of the wheel, so that an installation has them; its folder is configs.
setup(packages=[*packages, "biva_tf.configs"])
