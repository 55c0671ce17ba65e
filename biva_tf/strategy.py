"""The devices of a run."""

import contextlib
import ctypes

import tensorflow as tf

from biva_tf.errors import SettingsError


def make(name: str, logical_devices: int = 1) -> tf.distribute.Strategy:
    """The tf.distribute strategy of a run on one host.

    Args:
      name: "one_device"; "mirrored" over all GPUs, or over all logical CPUs if there is none; or
        "auto": mirrored if there are several of them.
      logical_devices: split the CPU into this many. To be called before TensorFlow uses the CPU.

    Raises:
      SettingsError: the CPU was in use before it could be split.
    """
    if logical_devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * logical_devices
        try:
            tf.config.set_logical_device_configuration(cpu, parts)
        except RuntimeError as e:
            raise SettingsError(f"--logical_devices={logical_devices}: {e}") from e
    devices = tf.config.list_logical_devices("GPU")
    if not devices:
        devices = tf.config.list_logical_devices("CPU")
    tune()
    names = [device.name for device in devices]
    if name == "mirrored" or (name == "auto" and len(names) > 1):
        return tf.distribute.MirroredStrategy(names)
    return tf.distribute.OneDeviceStrategy(names[0])


@contextlib.contextmanager
def default_graph_rewriting():
    """While active, graphs are rewritten as TensorFlow and TF Serving do by default.

    Rewriting changes the last bits of results.
    """
    changed = tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": changed})


def tune() -> None:
    """Sets the process up for speed, as every command does: both of the following."""
    without_graph_rewriting()
    keep_freed_memory()


def without_graph_rewriting() -> None:
    """Turns Grappler off where there is no GPU.

    On a CPU, rewriting the graph takes longer than tracing it and makes no step faster.
    """
    if not tf.config.list_physical_devices("GPU"):
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def keep_freed_memory() -> None:
    """Lets the C library keep freed memory, where it is glibc.

    By default it gives large blocks back to the system and asks for them again, every time with
    fresh pages, which a step that makes the same gigabytes of tensors pays for.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        mmap_max, trim_threshold = -4, -1  # as in malloc.h
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)  # the largest, once converted to unsigned
