import dataclasses
import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, run

from biva_tf.data.images import Batch, Images
from biva_tf.data.pipeline import TrainingData
from biva_tf.inference.scoring import scores
from biva_tf.model import architectures
from biva_tf.nn import weight_norm
from biva_tf.nn.weight_norm import WeightNorm
from biva_tf.runs.config import RunConfig
from biva_tf.training import step
from biva_tf.training.devices import make_strategy
from biva_tf.training.trainer import Trainer


def _train_on_replicas(devices, out, settings, classes=0):
    arguments = f"{devices}, {str(out)!r}, {json.dumps(settings)!r}, {classes}"
    result = run(
        "-c",
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]\n"
        f"import replicas; replicas.main({arguments})",
    )
    assert result.returncode == 0, result.stderr[-2000:]
    with np.load(out) as file:
        return {key: file[key] for key in file.files}


@pytest.mark.parametrize(
    "settings",
    [
        {"free_bits": 2.0, "ema_decay": 0.9},
        pytest.param(
            {"free_bits": 0.1, "free_bits_mode": "batch_mean", "clip_norm": 1.0, "ema_decay": 0.9},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_two_replicas_train_like_one(tmp_path, settings):
    """With the same global batch, noise and seed, losses, weights and averages are the same."""
    one, two = (_train_on_replicas(n, tmp_path / f"{n}.npz", settings) for n in (1, 2))
    for key in one:
        np.testing.assert_allclose(one[key], two[key], rtol=1e-5, atol=1e-5, err_msg=key)
    assert two["step"] == 5


@pytest.mark.slow
def test_two_replicas_train_a_model_with_classes_like_one(tmp_path):
    """Each replica has labelled and unlabelled rows; the accuracy is that of the whole batch."""
    one, two = (
        _train_on_replicas(n, tmp_path / f"{n}.npz", {"ema_decay": 0.9}, classes=3) for n in (1, 2)
    )
    for key in one:
        np.testing.assert_allclose(one[key], two[key], rtol=1e-4, atol=1e-4, err_msg=key)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 2, (6, 8, 8, 1)).astype(np.float32)


def _evaluate(trainer, images):
    """The evaluation of black and white images."""
    return trainer.evaluate(Images((255 * images).astype(np.uint8), "none", seed=0))


def _trainer(images, spec=None, **settings):
    config = RunConfig(architecture="tiny_dense", batch_size=len(images), **settings)
    spec = spec or architectures.get("tiny_dense")
    trainer = Trainer(spec, config, make_strategy("one_device"))
    trainer.initialise(images)
    return trainer


def _steps(trainer, images, n):
    """The metrics of n steps, by name."""
    batch = Batch(tf.constant(images), tf.zeros([len(images)], tf.int64))
    steps = []
    for _ in range(n):
        loss, metrics = trainer.train_step(batch)
        steps.append({name: value.numpy() for name, value in metrics.items()})
        np.testing.assert_array_equal(loss, steps[-1]["loss"])
    return steps


def test_a_step_reports_the_terms_of_its_loss(images):
    trainer = _trainer(images, free_bits=0.0, kl_weight=0.5, kl_warmup_steps=4)
    for number, m in enumerate(_steps(trainer, images, 6)):
        weight = 0.5 * min(1.0, number / 4)
        kl = sum(m[f"kl/{name}"] for name in ("z1_bu", "z1_td", "z2"))
        np.testing.assert_allclose(m["kl_weight"], weight)
        np.testing.assert_allclose(m["elbo"], m["reconstruction"] - kl, rtol=1e-5)
        np.testing.assert_allclose(m["bits_per_dim"], -m["elbo"] / 64 / np.log(2), rtol=1e-5)
        np.testing.assert_allclose(m["loss"], -m["reconstruction"] + weight * kl, rtol=1e-5)
        np.testing.assert_allclose(m["learning_rate"], 0.002 * 0.999999**number, rtol=1e-6)
    assert trainer.step == 6


def test_training_improves_the_bound(images):
    trainer = _trainer(images, learning_rate=0.01)
    before = _evaluate(trainer, images)["elbo"]
    _steps(trainer, images, 60)
    assert _evaluate(trainer, images)["elbo"] > before + 1.5


def test_clipping_bounds_the_gradient_and_the_norm_before_it_is_reported(images):
    free, clipped = (_trainer(images, clip_norm=c, learning_rate=0.0) for c in (0.0, 0.1))
    norms = [_steps(t, images, 1)[0]["gradient_norm"] for t in (free, clipped)]
    np.testing.assert_allclose(*norms, rtol=1e-5)
    assert norms[0] > 0.1
    # After one step v = 0.1 * gradient.
    v = np.concatenate([np.ravel(v) for v in clipped.optimizer._v])
    np.testing.assert_allclose(np.linalg.norm(v), 0.1 * 0.1, rtol=1e-4)


def test_averaged_weights_are_swapped_in_and_out(images):
    trainer = _trainer(images, ema_decay=0.5)
    _steps(trainer, images, 3)
    weights = [v.numpy() for v in trainer.model.trainable_variables]
    averages = [v.numpy() for v in trainer.optimizer.moving_averages.values]
    assert any(not np.array_equal(w, a) for w, a in zip(weights, averages, strict=True))
    with trainer.averaged_weights():
        for v, average in zip(trainer.model.trainable_variables, averages, strict=True):
            np.testing.assert_array_equal(v, average)
    for v, weight in zip(trainer.model.trainable_variables, weights, strict=True):
        np.testing.assert_array_equal(v, weight)
    for v, average in zip(trainer.optimizer.moving_averages.values, averages, strict=True):
        np.testing.assert_array_equal(v, average)


def test_averages_start_from_the_initialised_weights(images):
    trainer = _trainer(images)
    for v, average in zip(
        trainer.model.trainable_variables, trainer.optimizer.moving_averages.values, strict=True
    ):
        np.testing.assert_array_equal(v, average)


def test_initialisation_gives_every_layers_output_mean_0_and_deviation_0_01(images):
    """This holds in a pass with the batch and the noise of the initialisation."""
    trainer = _trainer(images)
    outputs = {}
    call = WeightNorm.call

    def recorded(layer, x):
        outputs[layer.name] = call(layer, x)
        return outputs[layer.name]

    noise = step.seeded_noise(trainer.config.seed, step.INITIALISATION)
    with mock.patch.object(WeightNorm, "call", recorded):
        trainer.model(images, noise=noise, training=True)
    assert len(outputs) == len(weight_norm.layers_of([trainer.model]))
    for name, y in outputs.items():
        axes = tuple(range(y.shape.rank - 1))
        np.testing.assert_allclose(np.mean(y, axis=axes), 0, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(np.std(y, axis=axes), 0.01, rtol=0.02, err_msg=name)


@pytest.mark.parametrize("batch", [2, 4, 5])
def test_evaluation_does_not_depend_on_the_batch_size(images, batch):
    """Every image counts once, whether or not the last batch is padded."""
    small = _trainer(images[:batch])
    one = _trainer(images)
    for a, b in zip(small.model.trainable_variables, one.model.trainable_variables, strict=True):
        a.assign(b)
    first, second = _evaluate(small, images), _evaluate(one, images)
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert first == _evaluate(small, images)


def test_an_evaluation_equals_the_score_of_the_model(images):
    """Both use the same code: a run's ELBO is that of `scores` under its evaluation seed."""
    trainer = _trainer(images)
    (score,) = scores(trainer.model, images, (0,), seed=(trainer.config.seed, step.EVALUATION))
    metrics = _evaluate(trainer, images)
    np.testing.assert_allclose(metrics["elbo"], score.elbo_nats.mean(), rtol=1e-9)
    np.testing.assert_allclose(metrics["kl/z2"], score.kl_nats[:, 2].mean(), rtol=1e-9)


def test_the_loss_is_determined_by_the_seed(images):
    runs = [_steps(_trainer(images, seed=s), images, 2)[1]["loss"] for s in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_dropout_changes_the_training_loss(images):
    spec = dataclasses.replace(
        architectures.get("tiny_dense"), dropout_inference=0.5, dropout_generative=0.5
    )
    with_dropout, without = (_trainer(images, s) for s in (spec, None))
    for a, b in zip(
        with_dropout.model.trainable_variables, without.model.trainable_variables, strict=True
    ):
        a.assign(b)  # the initialisation had dropout, too
    np.testing.assert_array_equal(*(_evaluate(t, images)["elbo"] for t in (with_dropout, without)))
    losses = [_steps(trainer, images, 1)[0]["loss"] for trainer in (with_dropout, without)]
    assert losses[0] != losses[1]


def test_latents_of_one_shape_do_not_share_noise(images):
    """In the original they did. The noise of a draw is (z - mean) / standard deviation."""
    trainer = _trainer(images)
    noise = step.seeded_noise(trainer.config.seed, step.TRAINING).fold(3)
    output = trainer.model(tf.constant(images), noise=noise)
    bu, td, _ = output.latents
    noise = [(z.z - z.q.mean()) / z.q.stddev() for z in (bu, td)]
    assert noise[0].shape == noise[1].shape
    assert abs(np.corrcoef(np.ravel(noise[0]), np.ravel(noise[1]))[0, 1]) < 0.7
    assert not np.any(np.isclose(noise[0], noise[1], rtol=1e-4))


def test_a_batch_size_that_the_replicas_do_not_divide_is_refused(images):
    class Three(tf.distribute.OneDeviceStrategy):
        num_replicas_in_sync = 3

    with pytest.raises(ValueError, match=r"^batch_size: expected a multiple of the 3 replicas"):
        Trainer(architectures.get("tiny_dense"), RunConfig(batch_size=8), Three("CPU:0"))


def test_metrics_are_written_at_validations_and_checkpoints_too():
    config = RunConfig(log_every=5, eval_every=7, checkpoint_every=9)
    assert [n for n in range(1, 20) if config.is_reported(n)] == [5, 7, 9, 10, 14, 15, 18]


def test_what_does_not_vary_on_the_first_batch_is_not_scaled_up():
    """The original's rule makes the gains of one image 1,000, and the first step gives NaN."""
    pixels = np.ones((1, 8, 8, 1), np.float32)
    trainer = _trainer(pixels)
    for layer in weight_norm.layers_of([trainer.model]):
        assert np.all(np.isfinite(layer.g)) and np.max(layer.g) < 1000
    assert all(np.all(np.isfinite(v)) for m in _steps(trainer, pixels, 3) for v in m.values())


@pytest.mark.parametrize("number", [1, 2])
def test_few_alike_images_are_initialised_on_as_many_draws_as_many_images(number):
    """Two draws of a latent can be almost equal; gains by their deviation are in the hundreds."""
    pixels = np.repeat(np.eye(8, dtype=np.uint8)[np.newaxis, ..., np.newaxis], number, axis=0)
    trainer = _trainer(pixels)
    data = TrainingData(Images(pixels * 255, "threshold", 0), 0)
    trainer.initialise(data.initial_images(64))
    for layer in weight_norm.layers_of([trainer.model]):
        assert np.max(layer.g) < 50, layer.name


def test_the_images_of_the_initialisation_do_not_depend_on_the_batch_size():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
    labels = np.arange(40)
    data = TrainingData(Images(pixels, "dynamic", 0, labels), 0)
    assert data.initial_images(16).shape == (16, 8, 8, 1)
    all_of_them = data.batch(0, 40).images
    np.testing.assert_array_equal(
        data.initial_images(64), np.concatenate([all_of_them, all_of_them[:24]])
    )
    labelled = TrainingData(Images(pixels[:1], "dynamic", 0, labels[:1]), 0, np.array([0]))
    assert labelled.initial_images(63).shape == (62, 8, 8, 1)
    # What the original does: the first training batch.
    np.testing.assert_array_equal(data.initial_images(8), data.batch(0, 8).images)


def _weights(trainer):
    """Weights, averages and slots."""
    optimizer = trainer.optimizer
    variables = (*trainer.model.trainable_variables, *optimizer._v, *optimizer._m)
    return [v.numpy() for v in (*variables, *optimizer.moving_averages.slots)]


def test_a_skipped_step_changes_nothing_but_the_number_of_steps(images):
    trainer = _trainer(images, ema_decay=0.9)
    norm = _steps(trainer, images, 1)[0]["gradient_norm"]
    trainer = _trainer(images, ema_decay=0.9, skip_gradient_norm=0.9 * float(norm))
    before = _weights(trainer)
    (metrics,) = _steps(trainer, images, 1)
    assert metrics["skipped"] == 1 and metrics["gradient_norm"] == norm and trainer.step == 1
    for a, b in zip(before, _weights(trainer), strict=True):
        np.testing.assert_array_equal(a, b)


def test_steps_below_the_norm_are_those_of_a_run_that_skips_none(images):
    plain, skipping = (_trainer(images, ema_decay=0.9, skip_gradient_norm=s) for s in (0.0, 1e6))
    assert [m["skipped"] for m in _steps(skipping, images, 3)] == [0, 0, 0]
    _steps(plain, images, 3)
    for a, b in zip(_weights(plain), _weights(skipping), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_gradient_that_is_not_finite_is_skipped(images):
    trainer = _trainer(images, ema_decay=0.9, skip_gradient_norm=1e6)
    before = _weights(trainer)
    (metrics,) = _steps(trainer, np.full_like(images, np.nan), 1)
    assert metrics["skipped"] == 1 and np.isnan(metrics["gradient_norm"])
    for a, b in zip(before, _weights(trainer), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_two_replicas_skip_the_same_steps_as_one(tmp_path):
    one, two, free = (
        _train_on_replicas(n, tmp_path / f"{i}.npz", {"ema_decay": 0.9, "skip_gradient_norm": norm})
        for i, (n, norm) in enumerate(((1, 4.5), (2, 4.5), (1, 1e6)))
    )
    skipped = one["metrics"][:, -1]
    assert 0 < skipped.sum() < 5 and not free["metrics"][:, -1].any()
    for key in one:
        np.testing.assert_allclose(one[key], two[key], rtol=1e-5, atol=1e-5, err_msg=key)


@pytest.mark.slow
def test_a_compiled_step_is_the_step(images):
    """By XLA, with dropout: losses and weights are the same up to rounding."""
    spec = dataclasses.replace(
        architectures.get("tiny_dense"), dropout_inference=0.3, dropout_generative=0.3
    )
    plain, compiled = (_trainer(images, spec, free_bits=0.1, jit_compile=j) for j in (False, True))
    for a, b in zip(_steps(plain, images, 5), _steps(compiled, images, 5), strict=True):
        np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-5, atol=1e-5)
    for a, b in zip(_weights(plain), _weights(compiled), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
