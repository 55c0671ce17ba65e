"""A .keras file in which layers are nested otherwise than they are today."""

import io
import zipfile

import h5py
import keras
import numpy as np
from conftest import perturbed

import biva_tf  # noqa: F401  # registers the model's class

_WEIGHTS = "model.weights.h5"


def _renested(path, move):
    """Rewrites the weights of a .keras file by a function of the HDF5 file."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    content = io.BytesIO(files[_WEIGHTS])
    with h5py.File(content, "r+") as weights:
        move(weights)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (files | {_WEIGHTS: content.getvalue()}).items():
            archive.writestr(name, data)


def test_weights_are_found_by_the_names_of_their_layers(tmp_path):
    model = perturbed("tiny_conv")
    model.save(tmp_path / "m.keras")

    def move(weights):
        first, second = list(weights["bottom_up_stages"])[:2]
        weights.move(f"bottom_up_stages/{first}", "stages/first")
        # Where the first stage is looked for there is now another, some of whose shapes fit.
        weights.move(f"bottom_up_stages/{second}", f"bottom_up_stages/{first}")

    _renested(tmp_path / "m.keras", move)
    again = keras.saving.load_model(tmp_path / "m.keras")
    for a, b in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)
