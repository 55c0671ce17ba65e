"""The packages of an installation; pyproject.toml has all else.

The flagfiles of configs/ are installed as biva_tf/configs.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["biva_tf*"]), "biva_tf.configs"],
    package_dir={"biva_tf.configs": "configs"},
)
