"""Runs requests on a SavedModel: python run_export.py FOLDER REQUESTS.pickle ANSWERS.pickle

REQUESTS is a list of (signature, inputs). ANSWERS receives the outputs of each request, as computed
by TensorFlow's Python loader and by its session loader in C++. The script needs only TensorFlow and
NumPy.
"""

import importlib.util
import pickle
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf


def by_python(folder, requests):
    signatures = tf.saved_model.load(folder).signatures
    answers = []
    for name, inputs in requests:
        outputs = signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
        answers.append({key: value.numpy() for key, value in outputs.items()})
    return answers


def by_session(folder, requests):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signatures = tf.compat.v1.saved_model.load(session, ["serve"], folder).signature_def
        answers = []
        for name, inputs in requests:
            feeds = {signatures[name].inputs[key].name: value for key, value in inputs.items()}
            fetches = {key: info.name for key, info in signatures[name].outputs.items()}
            answers.append(session.run(fetches, feeds))
        return answers


def main():
    folder, requests, answers = sys.argv[1:]
    assert importlib.util.find_spec("biva_tf") is None, "the model's code can be imported"
    requests = pickle.loads(Path(requests).read_bytes())
    requests = [(name, {k: np.asarray(v) for k, v in inputs.items()}) for name, inputs in requests]
    result = {"python": by_python(folder, requests), "session": by_session(folder, requests)}
    Path(answers).write_bytes(pickle.dumps(result))


if __name__ == "__main__":
    main()
