"""Models that no memory of the machine holds are refused before TensorFlow tries."""

import keras
import numpy as np
import pytest

import biva_tf
from biva_tf.errors import SettingsError
from biva_tf.model import architectures
from biva_tf.model.spec import ModelSpec
from biva_tf.runs.config import RunConfig
from biva_tf.training import dry_run, run, size

_HUGE = [("tiny_conv", '"filters": 4'), ("tiny_text", '"decoder_units": 5')]


def _huge(name="tiny_conv", field='"filters": 4'):
    text = architectures.get(name).to_json()
    assert field in text
    return ModelSpec.from_json(text.replace(field, f"{field.split(':')[0]}: {10**12}"))


def test_the_number_of_parameters_is_that_of_the_model_built():
    for name in ("tiny_dense", "tiny_conv", "tiny_text"):
        assert size.parameters(architectures.get(name)) == biva_tf.build(name).count_params()
        size.check(architectures.get(name), name)


def test_a_model_is_the_same_whether_it_was_counted_before_or_not():
    spec = architectures.get("tiny_text")
    models = []
    for make in (biva_tf.BIVA, biva_tf.build):
        keras.backend.clear_session()
        keras.utils.set_random_seed(3)
        models.append(make(spec))
    plain, counted = models
    assert [v.path for v in counted.weights] == [v.path for v in plain.weights]
    for one, other in zip(counted.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name,field", _HUGE)
def test_build_refuses_a_model_that_no_memory_holds(name, field):
    message = r"^spec: expected a model that fits in .*; its weights take [\d,]+ GiB, by an est"
    with pytest.raises(SettingsError, match=message):
        biva_tf.build(_huge(name, field))


@pytest.mark.parametrize("name,field", _HUGE)
def test_a_model_of_a_trillion_filters_is_refused_by_an_estimate(tmp_path, name, field):
    path = tmp_path / "huge.json"
    path.write_text(_huge(name, field).to_json())
    config = RunConfig(architecture=str(path))
    message = r"huge.json: expected a model that fits in .* take [\d,]+ GiB, by an estimate"
    with pytest.raises(SettingsError, match=message):
        dry_run.describe(_huge(name, field), config, replicas=1)
    with pytest.raises(SettingsError, match=message):
        run.train(config, tmp_path / "model")
    assert not (tmp_path / "model" / "config.json").exists()
