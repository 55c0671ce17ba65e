"""The devices of a run."""

import tensorflow as tf

from biva_tf import quiet
from biva_tf.errors import SettingsError


def make_strategy(name: str, logical_devices: int = 1) -> tf.distribute.Strategy:
    """The tf.distribute strategy of a run on one host.

    Args:
      name: "one_device"; "mirrored" over all GPUs, or over all logical CPUs if there is none; or
        "auto": mirrored if there are several of them.
      logical_devices: split the CPU into this many. Call this before TensorFlow uses the CPU.

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
    with quiet.start_up_notes():
        devices = tf.config.list_logical_devices("GPU")
        devices = devices or tf.config.list_logical_devices("CPU")
    names = [device.name for device in devices]
    if name == "mirrored" or (name == "auto" and len(names) > 1):
        return tf.distribute.MirroredStrategy(names)
    return tf.distribute.OneDeviceStrategy(names[0])
