"""Every setting has a value of its type and in its range, given as a flag or in Python."""

import dataclasses
import importlib
import math
import typing

import numpy as np
import pytest
from absl import flags as absl_flags
from conftest import ROOT

import biva_tf
from biva_tf.commands import flags
from biva_tf.compression.options import Options
from biva_tf.errors import SettingsError
from biva_tf.evaluation.scoring_config import ScoringConfig
from biva_tf.model import architectures
from biva_tf.model.spec import SpecError
from biva_tf.ranges import Numbers
from biva_tf.runs.config import RunConfig
from biva_tf.settings import Settings, is_list, without_none
from biva_tf.train import TrainSettings
from biva_tf.training.optimizer import Adamax, FlooredExponentialDecay
from biva_tf.training.step import Objective

# The values of flags that no setting of numbers takes.
NEVER = {int: ("nan", "1.5", "", "1e400", str(2**63)), float: ("nan", "inf", "-inf", "", "1e39")}


def _settings_of_commands():
    for root in ("biva_tf", "tools"):
        for path in sorted((ROOT / root).rglob("*.py")):
            if "Settings(" in path.read_text() and path.name != "settings.py":
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                module = importlib.import_module(name)
                for value in vars(module).values():
                    if isinstance(value, type) and issubclass(value, Settings):
                        yield value


def _numbers(settings):
    """The fields of numbers and their kinds."""
    hints = typing.get_type_hints(settings)
    for field in dataclasses.fields(settings):
        kind, _ = without_none(hints[field.name])
        if is_list(kind):
            kind = typing.get_args(kind)[0]
        if kind in (int, float):
            yield field, kind


def test_no_setting_of_any_command_takes_a_number_that_is_none():
    tried = set()
    for settings in set(_settings_of_commands()):
        for field, kind in _numbers(settings):
            one = dataclasses.make_dataclass(
                "One",
                [(field.name, kind, dataclasses.field(default=None, metadata=field.metadata))],
            )
            for value in NEVER[kind]:
                values = absl_flags.FlagValues()
                flags.define(one, values)
                with pytest.raises(SettingsError, match=f"^--{field.name}.*: expected a"):
                    flags.parse(["command", f"--{field.name}={value}"], values)
            tried.add((settings.__name__, field.name))
    assert len(tried) > 100 and ("RunConfig", "free_bits") in tried


@pytest.mark.parametrize(
    "flag, expected",
    [
        ("free_bits=nan", "a finite number >= 0"),
        ("skip_gradient_norm=inf", "a finite number >= 0"),
        ("clip_norm=-1", "a finite number >= 0"),
        ("learning_rate=1e39", "a finite number >= 0 that fits in 32 bits"),
        ("learning_rate_decay=0", "a number in (0, 1]"),
        ("ema_decay=1", "a number in [0, 1)"),
        ("threshold=255", "an integer in 0..254"),
        ("batch_size=0", "an integer >= 1"),
        ("steps=1e5", "an integer >= 1"),
        (f"steps={10**30}", "an integer >= 1 that fits in 64 bits"),
        (f"seed={2**32}", f"an integer in 0..{2**32 - 1}"),
    ],
)
def test_a_flag_and_the_class_say_the_same(flag, expected):
    name, value = flag.split("=")
    values = absl_flags.FlagValues()
    flags.define(TrainSettings, values)
    with pytest.raises(SettingsError) as of_flag:
        flags.parse(["train", "--model_dir=x", f"--{flag}"], values)
    assert str(of_flag.value) == f"--{flag}: expected {expected}"
    number = float(value) if any(c in value for c in ".en") else int(value)
    with pytest.raises(SettingsError) as in_python:
        RunConfig(**{name: number})
    assert str(in_python.value) == f"{name}: expected {expected}, got {number!r}"


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: RunConfig(free_bits="2"), "free_bits: expected a finite number >= 0, got '2'"),
        (lambda: RunConfig(steps=True), "steps: expected an integer >= 1, got True"),
        (lambda: RunConfig(jit_compile=1), "jit_compile: expected true or false, got 1"),
        (lambda: RunConfig(dataset=3), "dataset: expected a string, got 3"),
        (lambda: RunConfig(binarize="thresholt"), "binarize: expected one of .*nearest is thresh"),
        (lambda: RunConfig(kl_weight=None), "kl_weight: expected a finite number >= 0, got None"),
        (lambda: RunConfig(alpha=math.inf), "alpha: expected a finite number >= 0, got inf"),
        (lambda: RunConfig(learning_rate=10**400), "learning_rate: expected .* fits in 32 bits"),
        (lambda: Objective(free_bits=math.nan), "free_bits: expected a finite number >= 0"),
        (lambda: Objective(kl_warmup_steps=-1), "kl_warmup_steps: expected an integer >= 0"),
        (lambda: Options(rows=2**16), "rows: expected an integer in 1..65535"),
        (lambda: Options(width=0.0), r"width: expected a number in \[0.00390625, 256\]"),
        (lambda: ScoringConfig(10, ks=(0, -1)), "ks: expected an integer >= 0, got -1"),
        (lambda: ScoringConfig(10, ks=3), "ks: expected integers in a tuple, got 3"),
        (lambda: Adamax(math.nan), "learning_rate: expected a finite number >= 0, got nan"),
        (lambda: Adamax(beta_1=1.0), r"beta_1: expected a number in \[0, 1\)"),
        (lambda: Adamax(ema_decay=math.inf), r"ema_decay: expected a number in \[0, 1\)"),
        (lambda: FlooredExponentialDecay(decay=0.0), r"decay: expected a number in \(0, 1\]"),
        (lambda: FlooredExponentialDecay(math.inf), "initial: expected a finite number >= 0"),
    ],
)
def test_a_wrong_value_in_python_is_named(make, message):
    with pytest.raises(SettingsError, match=f"^{message}"):
        make()


@pytest.mark.parametrize("rate", [math.nan, True, -0.1, 1.0, "0.1"])
def test_a_rate_of_a_spec_is_a_number_from_0_to_1(rate):
    spec = architectures.get("tiny_dense")
    with pytest.raises(SpecError, match=r"dropout_inference: expected a number in \[0, 1\)"):
        dataclasses.replace(spec, dropout_inference=rate)


def test_arguments_of_a_model_that_are_no_numbers_are_named():
    model = biva_tf.build("tiny_dense")
    images = np.zeros((1, *model.spec.image_shape))
    calls = {
        r"temperature: expected a number in \[0, 100\]": lambda: model.sample(
            1, temperature=math.inf
        ),
        "num_samples: expected an integer >= 1": lambda: model.sample(1.5),
        "seed: expected an integer that fits in 64 bits": lambda: model.sample(1, seed=2**63),
        "num_importance_samples": lambda: model.score(images, num_importance_samples=0.5),
        "value: expected a finite number, got nan": lambda: model.traverse("z2", [0], [math.nan]),
        "seed: expected an integer, got 0.5": lambda: model.compile(seed=0.5),
    }
    for message, call in calls.items():
        with pytest.raises(SettingsError, match=message):
            call()


def test_numbers_of_numpy_become_plain_ones_and_lists_tuples():
    config = RunConfig(steps=np.int64(7), free_bits=np.float32(0.5), kl_weight=1)
    assert (config.steps, type(config.steps)) == (7, int)
    assert (config.free_bits, type(config.free_bits)) == (0.5, float)
    assert ScoringConfig(1, ks=[np.int32(0), 2]).ks == (0, 2)
    assert config == RunConfig(steps=7, free_bits=0.5)


def test_every_default_is_a_value_that_its_setting_can_have():
    for settings in set(_settings_of_commands()):
        for field, kind in _numbers(settings):
            defaults = field.default if isinstance(field.default, tuple) else (field.default,)
            for default in defaults:
                if default not in (None, dataclasses.MISSING):
                    assert Numbers(kind, **field.metadata.get("limits", {})).has(default), field
