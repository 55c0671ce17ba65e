"""The devices of a run."""

import tensorflow as tf

from biva_tf import quiet
from biva_tf.errors import Setting, SettingsError
from biva_tf.training.hosts import Hosts


def make_strategy(
    name: str, logical_devices: int = 1, hosts: Hosts | None = None
) -> tf.distribute.Strategy:
    """The tf.distribute strategy of a run.

    Args:
      name: "one_device"; "mirrored" over all GPUs, or over all logical CPUs if there is none;
        "multi_worker" over the devices of all hosts; or "auto": multi_worker if there are several
        hosts, mirrored if there are several devices.
      logical_devices: split the CPU into this many. Call this before TensorFlow uses the CPU.
      hosts: the run's hosts, if there are several.

    Raises:
      SettingsError: the CPU was in use before it could be split, or there are no hosts.
    """
    if logical_devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * logical_devices
        try:
            tf.config.set_logical_device_configuration(cpu, parts)
        except RuntimeError as e:
            raise SettingsError(Setting("logical_devices", logical_devices), f": {e}") from e
    if name == "multi_worker" or (name == "auto" and hosts is not None):
        if hosts is None:
            raise SettingsError(
                Setting("strategy", "multi_worker"), ": expected hosts in TF_CONFIG, got none"
            )
        with quiet.start_up_notes():
            return tf.distribute.MultiWorkerMirroredStrategy()
    with quiet.start_up_notes():
        devices = tf.config.list_logical_devices("GPU")
        devices = devices or tf.config.list_logical_devices("CPU")
    names = [device.name for device in devices]
    if name == "mirrored" or (name == "auto" and len(names) > 1):
        return tf.distribute.MirroredStrategy(names)
    return tf.distribute.OneDeviceStrategy(names[0])
