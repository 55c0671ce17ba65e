"""biva_tf: BIVA (Maaløe et al. 2019) in TensorFlow 2 and Keras."""

import importlib
from typing import TYPE_CHECKING, Any

from biva_tf import quiet

if TYPE_CHECKING:
    from biva_tf.api import BIVA, build, load, load_pretrained, load_trained
    from biva_tf.training.optimizer import Adamax
    from biva_tf.training.step import Objective

__all__ = ["BIVA", "Adamax", "Objective", "build", "load", "load_pretrained", "load_trained"]

# The module of each public name.
_MODULES = {
    "BIVA": "biva_tf.api",
    "Adamax": "biva_tf.training.optimizer",
    "Objective": "biva_tf.training.step",
    "build": "biva_tf.api",
    "load": "biva_tf.api",
    "load_pretrained": "biva_tf.api",
    "load_trained": "biva_tf.api",
}


quiet.start_program()


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value  # found at once from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})


if not quiet.in_program():
    # A command imports what it needs. A user's process imports everything, since Keras finds the
    # classes of a .keras file among those that were imported.
    for _name in __all__:
        __getattr__(_name)
