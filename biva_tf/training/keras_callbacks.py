"""Whether a metric is to rise or to fall, for the callbacks of Keras that watch one."""

from collections.abc import Iterable
from typing import Any

_RISING = ("elbo", "reconstruction", "accuracy")


def direct(callbacks: Any, names: Iterable[str]) -> None:
    """Gives callbacks of mode "auto" the mode of the metric that they monitor.

    Keras finds the direction of its own metrics alone: `EarlyStopping("val_elbo")` would fail, and
    `ReduceLROnPlateau("val_elbo")` would wait for the ELBO to fall.

    Args:
      callbacks: of `fit`: a callback, a list of them, a `keras.callbacks.CallbackList`, or None.
      names: the model's metrics.
    """
    listed = getattr(callbacks, "callbacks", callbacks)
    for callback in listed if isinstance(listed, list | tuple) else (listed,):
        monitored = str(getattr(callback, "monitor", "")).removeprefix("val_")
        if getattr(callback, "mode", None) == "auto" and monitored in names:
            callback.mode = "max" if monitored in _RISING else "min"
