"""A command that ends as it is asked to: python -m tests.commands.failing_command --how=HOW"""

import dataclasses
import os
import signal

from biva_tf.commands.start import start
from biva_tf.settings import Settings, required, setting


@dataclasses.dataclass(frozen=True)
class FailingSettings(Settings):
    how: str = required("How the command ends.")
    model_dir: str | None = setting(None, "The folder of the run.")
    batch_size: int = setting(32, "The batch.")


def _end(settings):
    match settings.how:
        case "error of the program":
            return {}["absent"]
        case "interrupted":
            # A shell that starts its jobs in the background has them ignore it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.raise_signal(signal.SIGINT)
        case "full output":
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
            print("a result")
        case "nobody reads":
            read, write = os.pipe()
            os.dup2(write, 1)
            os.close(read)
            print("a result")
        case "too large":
            import numpy as np

            np.zeros(2**60, np.uint8)


if __name__ == "__main__":
    start("failing", FailingSettings, _end)
