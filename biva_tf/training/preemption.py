"""Stops of a run on several hosts: a signal to one of them stops all after the same step."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from biva_tf.training.interruption import Interruption


class Preemption:
    """Has the hosts agree on the step to stop after, by TensorFlow's PreemptionCheckpointHandler.

    Takes the place of an `Interruption` in the loop over the steps. An evaluation is not given up
    half-way, since the other hosts take part in it.

    Args:
      interruption: notes the signals to this host.
      strategy: the run's strategy.
      folder: a temporary one. The handler wants a checkpoint of its own; that of the run is the
        loop's.
    """

    def __init__(
        self,
        interruption: Interruption,
        strategy: tf.distribute.MultiWorkerMirroredStrategy,
        folder: Path,
    ):
        self._interruption = interruption
        self._agreed = False
        interruption.handle_again()  # the strategy's coordination service has taken SIGTERM
        self._handler = tf.distribute.experimental.PreemptionCheckpointHandler(
            strategy.cluster_resolver,
            tf.train.Checkpoint(),
            str(folder),
            tf.distribute.experimental.TerminationConfig(
                termination_watcher_fn=lambda: interruption.signal is not None,
                exit_fn=lambda: None,
                save_fn=self._agree,
            ),
        )

    def _agree(self) -> None:
        self._agreed = True

    def asked(self) -> int | None:
        """The signal that stops the run after the step just done; call it after every step.

        Where another host got the signal, SIGTERM.
        """
        self._handler.save_checkpoint_if_preempted()
        return (self._interruption.signal or signal.SIGTERM) if self._agreed else None

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Does nothing: signals wait for the end of the step."""
        yield
