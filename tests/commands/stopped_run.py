"""A training run that gets a signal: python stopped_run.py NUMBER PLACE FLAGS...

PLACE is "evaluation", the next one, or the number of a step.
"""

import os
import runpy
import sys

from biva_tf.training.loop import Loop
from biva_tf.training.trainer import Trainer


def main(number, place, *flags):
    def kill():
        os.kill(os.getpid(), int(number))

    if place == "evaluation":
        evaluate = Trainer.evaluate

        def stopped_evaluation(self, images):
            kill()
            return evaluate(self, images)

        Trainer.evaluate = stopped_evaluation
    else:
        finish = Loop._finish

        def stopped_finish(self, step, interval):
            if step == int(place):
                kill()
            finish(self, step, interval)

        Loop._finish = stopped_finish
    sys.argv[1:] = flags
    runpy.run_module("biva_tf.train", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
