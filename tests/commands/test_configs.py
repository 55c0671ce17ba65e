"""Every flagfile parses, its model has a fixed number of parameters, and a narrow copy trains."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from conftest import ROOT, run

import biva_tf
from biva_tf.commands import flags as settings_flags
from biva_tf.data import pipeline, sources
from biva_tf.data.densities import DENSITIES
from biva_tf.data.sources import Source, Split
from biva_tf.data.text.sentences import Form
from biva_tf.model import architectures
from biva_tf.model.spec import BlockSpec, ConvLatent, DenseLatent
from biva_tf.train import TrainSettings
from biva_tf.training.devices import make_strategy
from biva_tf.training.trainer import Trainer

CONFIGS = sorted((ROOT / "configs").glob("*.flags"))
PARAMETERS = {
    "mnist_l6": 31_550_946,
    "mnist_sample": 2_573_354,
    "small_l5": 2_805_634,
    "small_l5_grey": 686_534,
    "mnist_l6_semi": 32_612_470,
    "small_semi": 2_987_606,
    "cifar10_l10": 71_749_968,
    "cifar10_l15": 102_948_560,
    "cifar10_l15_lvae": 72_476_128,
    "cifar10_l15_lvae_plus": 73_461_088,
    "cifar10_l29_lvae_plus": 120_789_472,
    "celeba64_l20": 94_356_208,
    "density_2d": 124_316,
    "text_small": 1_667_490,
}
EXPERIMENTS = {
    "mnist_static",
    "mnist_static_finetune",
    "mnist_dynamic",
    "mnist_dynamic_finetune",
    "omniglot",
    "omniglot_finetune",
    "fashion_mnist",
    "fashion_small",
    "fashion_small_finetune",
    "fashion_grey_small",
    "mnist_10k_small",
    "mnist_10k_small_finetune",
    "cifar10",
    "cifar10_l10",
    "cifar10_lvae",
    "cifar10_lvae_plus",
    "cifar10_lvae_plus_l29",
    "imagenet32",
    "celeba64",
    "mnist_sample",
    "mnist_semi",
    "mnist_10k_semi",
    "fashion_semi",
    "potential_2",
    "glosses",
}


def _settings(path):
    values = flags.FlagValues()
    settings_flags.define(TrainSettings, values)
    values(["train", f"--flagfile={path}"])
    settings = settings_flags.read(TrainSettings, values=values)
    return settings.config, settings.model_dir


def _base(path):
    """The settings of a config. A fine-tuning has the model and data of the run it starts from."""
    settings, _ = _settings(path)
    if not settings.init_from:
        return settings
    start = next(other for other in CONFIGS if _settings(other)[1] == settings.init_from)
    first, _ = _settings(start)
    return dataclasses.replace(settings, architecture=first.architecture, dataset=first.dataset)


def test_every_experiment_of_the_paper_has_a_config():
    assert {path.stem for path in CONFIGS} == EXPERIMENTS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_has_a_comment_and_its_model_fits_its_data(path):
    settings, model_dir = _settings(path)
    assert model_dir == f"runs/{path.stem}"
    comment = "".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    assert "aper" in comment and ("Memory" in comment or path.stem == "mnist_sample")
    base = _base(path)
    spec, info = architectures.get(base.architecture), pipeline.info(base.dataset)
    assert info.lines if spec.likelihood.num_ids else info.image_shape == spec.image_shape
    if path.stem.endswith("_finetune"):
        assert settings.free_bits == 0 and settings.init_from == model_dir.removesuffix("_finetune")


@pytest.mark.parametrize("architecture", PARAMETERS)
def test_a_model_of_a_config_has_its_number_of_parameters(architecture):
    used = {_base(path).architecture for path in CONFIGS}
    assert used == set(PARAMETERS)
    assert biva_tf.build(architecture).count_params() == PARAMETERS[architecture]


def _narrowed(spec):
    """A copy with 4 filters per block and 2 units or channels per latent, and else the same."""
    stages = []
    for stage in spec.stages:
        blocks = tuple(BlockSpec(4, b.kernel, b.stride) for b in stage.blocks)
        latent = DenseLatent(2)
        if isinstance(stage.latent, ConvLatent):
            latent = ConvLatent(2, stage.latent.kernel)
        stages.append(dataclasses.replace(stage, blocks=blocks, latent=latent))
    return dataclasses.replace(spec, stages=tuple(stages))


def _few_images(dataset):
    """A source of ten random images of the shape of a data set, one of each class."""
    info = sources.info(dataset)
    pixels = np.random.default_rng(0).integers(0, 256, (10, *info.image_shape)).astype(np.uint8)
    if dataset == "mnist_static":
        pixels = (pixels // 128) * 255
    split = Split(pixels, np.arange(10))
    return Source(split, split, split if info.validation else None)


# The models of colour images are deep; together they take two minutes.
DEEP = ("cifar10", "imagenet32", "celeba64")
BY_DEPTH = [
    pytest.param(path, marks=[pytest.mark.slow] if path.stem.startswith(DEEP) else [])
    for path in CONFIGS
]


@pytest.mark.parametrize("path", BY_DEPTH, ids=[path.stem for path in CONFIGS])
def test_a_narrowed_copy_trains_a_step(path, monkeypatch):
    settings = dataclasses.replace(
        _base(path), batch_size=2, validation_size=0, train_on_validation=False
    )
    if settings.dataset not in DENSITIES and not pipeline.info(settings.dataset).lines:
        source = _few_images(settings.dataset)
        monkeypatch.setattr(sources, "load", lambda name, location: source)
    spec = _narrowed(architectures.get(settings.architecture))
    data_config = dataclasses.replace(settings.data, labels=spec.num_classes or None)
    data = pipeline.load(data_config, settings.seed, spec.num_classes, Form.for_spec(spec))
    pipeline.check_fits(spec, data.test, settings.dataset)
    tf.config.run_functions_eagerly(True)  # tracing a deep model takes longer than a step
    try:
        trainer = Trainer(spec, settings, make_strategy("one_device"))
        # On all images: on two, the outputs of some filters hardly differ, and would be scaled up.
        trainer.initialise(data.train.batch(0, 8).images)
        before = [v.numpy() for v in trainer.model.trainable_variables]
        _, metrics = trainer.train_step(next(trainer.distribute(data.train, 0, 1)))
    finally:
        tf.config.run_functions_eagerly(False)
    assert all(np.all(np.isfinite(value)) for value in metrics.values())
    after = trainer.model.trainable_variables
    moved = sum(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert moved > len(before) / 2


def test_a_dry_run_needs_no_data(tmp_path):
    result = run(
        "-m",
        "biva_tf.train",
        f"--flagfile={ROOT / 'configs' / 'mnist_static.flags'}",
        f"--data_dir={tmp_path}",
        f"--model_dir={tmp_path / 'model'}",
        "--dry_run",
    )
    assert result.returncode == 0, result.stderr[-3000:]
    for text in (
        "  dataset=mnist_static\n",
        "6 levels, 11 latents, bernoulli",
        "z1_bu   48",
        "parameters: 31,550,946",
        "GiB",
        "steps per epoch: 1,563 (50,000 images)",
    ):
        assert text in result.stdout
    assert not (tmp_path / "model").exists()


def test_missing_data_and_an_unknown_flag_give_one_message_each(tmp_path):
    flagfile = f"--flagfile={ROOT / 'configs' / 'cifar10.flags'}"
    for more, message in (
        ("--steps=10", "--dataset=cifar10: not found in --data_dir="),
        ("--stepz=10", "--stepz: there is no such flag; the nearest are --steps"),
    ):
        args = (flagfile, f"--data_dir={tmp_path}", f"--model_dir={tmp_path / 'm'}", more)
        result = run("-m", "biva_tf.train", *args)
        assert result.returncode != 0
        assert message in result.stderr and "Traceback" not in result.stderr
