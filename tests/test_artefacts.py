"""Files name what they are, and are recognised by it."""

import json

import pytest

from biva_tf import artefacts
from biva_tf.version import __version__


def test_a_stamped_file_names_its_kind_its_format_and_its_writer():
    plain = json.loads(json.dumps(artefacts.stamped("weights", {"step": 3})))
    assert plain["biva_tf_version"] == __version__ and plain["format_version"] == 1
    assert artefacts.read(plain, "run", "weights") == ("weights", {"step": 3})


def test_a_file_of_version_0_1_names_nothing():
    assert artefacts.read({"step": 3}, "weights") == (None, {"step": 3})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind_of_file": "run"}, "kind_of_file: expected weights, got 'run'"),
        ({"format_version": 2}, "format_version: expected 1 to 1, got 2; written by biva_tf 9.0"),
        ({"format_version": "1"}, "format_version: expected 1 to 1, got '1'"),
        ({"format_version": 0}, "format_version: expected 1 to 1, got 0"),
    ],
)
def test_another_kind_or_a_newer_format_is_refused(change, message):
    plain = artefacts.stamped("weights", {"step": 3}) | {"biva_tf_version": "9.0"} | change
    with pytest.raises(ValueError, match=message):
        artefacts.read(plain, "weights")


def test_something_else_than_an_object_is_refused():
    with pytest.raises(ValueError, match="expected an object, got list"):
        artefacts.read([], "weights")
