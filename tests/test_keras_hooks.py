"""What the package uses of Keras beyond its documented interface is there.

`pyproject.toml` bounds Keras from above. To raise the bound, run the tests with the new version.
"""

import inspect
import re

import keras
import pytest
from conftest import ROOT

# (class, attribute): the parameters that we pass or are passed, after self; None: a property.
HOOKS = {
    # biva_tf/training/optimizer.py overrides it
    (keras.optimizers.Optimizer, "_backend_update_step"): (
        "grads",
        "trainable_variables",
        "learning_rate",
    ),
    (keras.optimizers.Optimizer, "_get_variable_index"): ("variable",),
    (keras.optimizers.Optimizer, "add_variable_from_reference"): (
        "reference_variable",
        "name",
        "initializer",
    ),
    # biva_tf/training/keras_model.py: called once when a pass over the data begins
    (keras.Model, "make_test_function"): ("force",),
    (keras.Model, "make_predict_function"): ("force",),
    (keras.Model, "distribute_strategy"): None,
    # It builds a model whose layers are not built.
    (keras.Model, "_maybe_symbolic_build"): ("iterator", "data_batch"),
}


@pytest.mark.parametrize(("owner", "name"), HOOKS)
def test_keras_has_the_hook(owner, name):
    attribute = inspect.getattr_static(owner, name)
    parameters = HOOKS[owner, name]
    if parameters is None:
        assert isinstance(attribute, property)
    else:
        assert tuple(inspect.signature(attribute).parameters)[1:] == parameters


def test_an_optimizer_lists_its_weights_and_whether_it_scales_the_loss():
    optimizer = keras.optimizers.SGD()
    assert optimizer._trainable_variables == [] and optimizer.loss_scale_factor is None


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("fit", "_use_cached_eval_dataset=True"),
        ("evaluate", "self.make_test_function()"),
        ("test_on_batch", "self.make_test_function()"),
        ("predict", "self.make_predict_function()"),
        ("predict_on_batch", "self.make_predict_function()"),
    ],
)
def test_keras_calls_what_the_model_overrides(method, text):
    assert text in inspect.getsource(inspect.unwrap(getattr(keras.Model, method)))


def test_keras_has_an_upper_bound():
    text = (ROOT / "pyproject.toml").read_text()
    assert re.search(r"\"keras>=[^\"]*<[0-9.]+\"", text)
