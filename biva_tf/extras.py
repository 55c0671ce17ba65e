"""Packages that only some installations have: the extras of pyproject.toml.

A module imports such a package where it uses it, after a call of `require`.
"""

import dataclasses
import importlib.metadata
import importlib.util
import sys

from biva_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class _Package:
    """A package that pip installs, and the extra that has it."""

    name: str
    extra: str


# By the name under which Python imports the package.
_PACKAGES = {
    "constriction": _Package("constriction", "compress"),
    "grpc": _Package("grpcio", "serve"),
    "matplotlib": _Package("matplotlib", "report"),
    "pyarrow": _Package("pyarrow", "ray"),
    "ray": _Package("ray[data]", "ray"),
    "scipy": _Package("scipy", "report"),
    "sklearn": _Package("scikit-learn", "report"),
    "tensorflow_serving": _Package("tensorflow-serving-api", "serve"),
}


class MissingPackageError(UserError, ImportError):
    """A package is not installed; the message says how to install it."""


def require(by: str, *modules: str) -> None:
    """Checks that optional packages are installed, without importing them.

    Args:
      by: what needs them, for the message.
      modules: the names under which Python imports them; they belong to one extra.

    Raises:
      MissingPackageError: one of them is not installed.
    """
    missing = [_PACKAGES[module] for module in modules if not _installed(module)]
    if not missing:
        return
    needed = ", ".join(package.name for package in missing)
    if _is_installation():
        install = f"biva_tf[{missing[0].extra}]"
    else:  # pip does not know of biva_tf in a checkout
        install = " ".join(package.name for package in missing)
    install = f"'{install}'" if "[" in install else install
    raise MissingPackageError(f"{by} needs {needed}: pip install {install}")


def _installed(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    return importlib.util.find_spec(module) is not None


def _is_installation() -> bool:
    try:
        importlib.metadata.version("biva_tf")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
