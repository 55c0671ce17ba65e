"""Runs a list of commands in one process whose `tensorflow` is TensorFlow 1's interface.

    python run.py FOLDER COMMANDS

runs them in FOLDER. COMMANDS is a JSON list; each is
  ["checkpoint", config.json, PATH, seed, with_averages]: writes a random checkpoint, or
  ["dump", *arguments]: runs tools/tf1/dump_reference.py, or
  ["dump_untied", *arguments]: does the same with noise that has no fixed seed.
For each dump it prints a JSON line with the exit code and the standard error of the dump.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import tensorflow
import tensorflow.compat.v1 as tf

HERE = Path(__file__).resolve().parent


def write_checkpoint(config, path, seed, with_averages):
    """Writes random values of every variable and moving average with a Saver of the model."""
    from models import BIVA

    rng = np.random.default_rng(seed)
    with tf.Graph().as_default(), tf.Session() as session:
        arguments = json.loads(Path(config).read_text())
        model = BIVA(
            session, activation=tf.nn.elu, ema_decay=0.99 if with_averages else None, **arguments
        )
        model._define_model()
        values = {
            v: rng.normal(1.0 if "/g" in v.name else 0.0, 0.3, v.shape.as_list())
            for v in model.global_variables
        }
        session.run([tf.assign(v, value) for v, value in values.items()])
        tf.train.Saver(model.global_variables).save(session, path)
    os.removedirs("output")  # the folder that the constructor made


def dump(*arguments):
    import dump_reference

    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        code = dump_reference.main(arguments)
    print(json.dumps({"code": code, "stderr": stderr.getvalue()}))


def dump_untied(*arguments):
    tied = tf.random_normal
    tf.random_normal = lambda shape, seed: tied(shape)
    dump(*arguments)
    tf.random_normal = tied


def main(folder, commands):
    os.chdir(folder)
    tf.disable_v2_behavior()
    sys.modules[tensorflow.__name__] = tf
    tools = str(HERE.parents[3] / "tools" / "tf1")
    for command, *arguments in commands:
        run = {"checkpoint": write_checkpoint, "dump": dump, "dump_untied": dump_untied}[command]
        sys.path.insert(0, str(HERE) if run is write_checkpoint else tools)
        run(*arguments)
        del sys.path[0]


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
