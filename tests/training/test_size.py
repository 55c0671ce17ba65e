"""Models that no memory of the machine holds are refused before TensorFlow tries."""

import pytest

import biva_tf
from biva_tf.errors import SettingsError
from biva_tf.model import architectures
from biva_tf.model.spec import ModelSpec
from biva_tf.runs.config import RunConfig
from biva_tf.training import dry_run, run, size


def _huge():
    text = architectures.get("tiny_conv").to_json()
    return ModelSpec.from_json(text.replace('"filters": 4', f'"filters": {10**12}'))


def test_the_number_of_parameters_is_that_of_the_model_built():
    for name in ("tiny_dense", "tiny_conv", "tiny_text"):
        assert size.parameters(architectures.get(name)) == biva_tf.build(name).count_params()
        size.check(architectures.get(name), name)


def test_a_model_of_a_trillion_filters_is_refused_by_an_estimate(tmp_path):
    path = tmp_path / "huge.json"
    path.write_text(_huge().to_json())
    config = RunConfig(architecture=str(path))
    message = r"huge.json: expected a model that fits in .* take [\d,]+ GiB, by an estimate"
    with pytest.raises(SettingsError, match=message):
        dry_run.describe(_huge(), config, replicas=1)
    with pytest.raises(SettingsError, match=message):
        run.train(config, tmp_path / "model")
    assert not (tmp_path / "model" / "config.json").exists()
