"""The model as a Keras user uses it."""

import dataclasses
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import perturbed, random_images, run

import biva_tf
from biva_tf.data.images import NO_LABEL, Batch
from biva_tf.errors import SettingsError
from biva_tf.inference import objectives
from biva_tf.inference.scoring import scores
from biva_tf.model import architectures, plans
from biva_tf.model.noise import SeededNoise
from biva_tf.nn.compute import Compute
from biva_tf.runs.config import INIT_IMAGES, RunConfig
from biva_tf.training.devices import make_strategy
from biva_tf.training.optimizer import Adamax, FlooredExponentialDecay
from biva_tf.training.step import Objective
from biva_tf.training.trainer import Trainer

ADAMAX = {"ema_decay": 0.9}


def test_a_call_draws_every_latent_from_its_posterior_by_the_seed_0(model):
    images = random_images(model.spec)
    output = model(images)
    explicit = model(images, plan=plans.posterior(model.spec), noise=SeededNoise(0))
    np.testing.assert_array_equal(output.px_parameters, explicit.px_parameters)
    assert all(latent.q is not None for latent in output.latents)
    bound = objectives.terms(output, images).bound
    np.testing.assert_array_equal(bound, objectives.terms(model(images), images).bound)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 1), np.int32), "expected floats or uint8 of shape .*, got int32"),
        (
            np.zeros((2, 8, 7, 1), np.float32),
            r"\[rows, 8, 8, 1\], got float32 of \(2, 8, 7, 1\)",
        ),
    ],
)
def test_a_call_refuses_other_images(images, message):
    with pytest.raises(ValueError, match=message):
        biva_tf.build("tiny_dense")(images)


def test_the_summary_lists_the_stages_with_shapes_and_parameters(model, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    printed = []
    model.summary(print_fn=lambda text, line_break=True: printed.append(text), line_length=400)
    lines = "\n".join(printed).splitlines()

    def row(name):
        (line,) = (line for line in lines if re.search(rf"\b{name}\b", line))
        return line

    for stage in (*model.bottom_up_stages, *model.top_down_stages):
        assert f"{stage.count_params():,}" in row(stage.name)
    assert str((None, *model.top_down_stages[-1].out_shape)) in row("top_down_1")
    assert f"z1_td: {(None, *model.latent_shapes[1])}" in row("top_down_1")
    assert "?" not in "".join(lines)
    assert any(f"Total params: {model.count_params():,}" in line for line in lines)


@pytest.mark.parametrize("name", ["tiny_dense", "tiny_conv", "tiny_dense_lvae"])
def test_a_saved_model_is_the_model(name, tmp_path):
    model = perturbed(name)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert type(again) is biva_tf.BIVA and again.spec == model.spec
    for a, b in zip(model.variables, again.variables, strict=True):
        assert a.path == b.path
        np.testing.assert_array_equal(a, b)
    images = random_images(model.spec)
    np.testing.assert_array_equal(model(images).px_parameters, again(images).px_parameters)
    np.testing.assert_array_equal(model.sample(2, seed=1), again.sample(2, seed=1))


def test_how_a_model_computes_is_saved_with_it(tmp_path):
    compute = Compute("direct", "mixed_bfloat16")
    biva_tf.BIVA(architectures.get("tiny_conv"), compute).save(tmp_path / "m.keras")
    assert keras.saving.load_model(tmp_path / "m.keras").compute == compute


def test_a_saved_model_loads_in_another_process(tmp_path):
    model = perturbed("tiny_dense")
    model.save(tmp_path / "m.keras")
    code = (
        "import keras, numpy as np, biva_tf\n"
        f"model = keras.saving.load_model({str(tmp_path / 'm.keras')!r})\n"
        f"np.save({str(tmp_path / 's.npy')!r}, model.sample(3, seed=2))"
    )
    result = run("-c", code)
    assert result.returncode == 0, result.stderr[-2000:]
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), model.sample(3, seed=2))


OBJECTIVE = Objective(
    free_bits=0.1, free_bits_mode="batch_mean", kl_weight=0.7, kl_warmup_steps=3, clip_norm=2.0
)


def _fitted(images, batch_size, epochs=2, **keras_arguments):
    keras.utils.set_random_seed(4)
    model = biva_tf.build("tiny_dense")
    model.compile(Adamax(FlooredExponentialDecay(), **ADAMAX), objective=OBJECTIVE, seed=4)
    history = model.fit(
        images,
        batch_size=batch_size,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        **keras_arguments,
    )
    return model, history.history


def test_fit_takes_the_steps_of_the_command():
    """The same batches: the same weights, slots, averages and metrics, bit for bit."""
    images = random_images(architectures.get("tiny_dense"), 16)
    fitted, history = _fitted(images, 8)
    objective = dataclasses.asdict(OBJECTIVE)
    del objective["classifier_weight"]  # depends on the labels, which this model has none of
    config = RunConfig(architecture="tiny_dense", batch_size=8, seed=4, **objective, **ADAMAX)
    trainer = Trainer(architectures.get("tiny_dense"), config, make_strategy("one_device"))
    # `fit` repeats fewer images than that.
    trainer.initialise(np.resize(images, (INIT_IMAGES, *images.shape[1:])))
    metrics = []
    for _ in range(2):
        for part in (images[:8], images[8:]):
            batch = Batch(tf.constant(part), tf.fill([8], tf.constant(NO_LABEL, tf.int64)))
            metrics.append(trainer.train_step(batch)[1])
    assert trainer.step == int(fitted.optimizer.iterations) == 4
    for a, b in zip(fitted.trainable_variables, trainer.model.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b, a.path)
    for a, b in zip(fitted.optimizer.variables, trainer.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b, a.path)
    assert history.keys() == metrics[0].keys()
    for name, values in history.items():
        expected = [np.mean([m[name] for m in metrics[i : i + 2]]) for i in (0, 2)]
        np.testing.assert_allclose(values, expected, rtol=1e-6, err_msg=name)


def test_fit_goes_on_after_a_save_as_if_there_had_been_none(tmp_path):
    images = random_images(architectures.get("tiny_dense"), 16)
    whole, _ = _fitted(images, 8, epochs=2)
    half, _ = _fitted(images, 8, epochs=1)
    half.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    again.fit(images, batch_size=8, epochs=1, shuffle=False, verbose=0)
    for a, b in zip(again.trainable_variables, whole.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b, a.path)
    for a, b in zip(again.optimizer.variables, whole.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b, a.path)


def test_the_last_batch_may_be_smaller():
    """Of 11 images the last batch has 3. An image counts as much there as in the first batch."""
    images = random_images(architectures.get("tiny_dense"), 11)
    keras.utils.set_random_seed(4)
    model = biva_tf.build("tiny_dense")
    model.compile(Adamax(0.0), seed=4)  # the weights stay
    steps = []
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: steps.append(logs["elbo"])
    )
    fit = {"batch_size": 8, "shuffle": False, "verbose": 0}
    history = model.fit(images, callbacks=[callback], validation_data=(images,), **fit).history
    assert int(model.optimizer.iterations) == 2
    # Logs are running means: of 8 images, then of all 11.
    last = (11 * steps[1] - 8 * steps[0]) / 3
    np.testing.assert_allclose(history["elbo"], [(8 * steps[0] + 3 * last) / 11], rtol=1e-6)
    assert abs(last - steps[0]) > 1e-3
    (score,) = scores(model, images, (0,), seed=(4, 1))
    np.testing.assert_allclose(history["val_elbo"], [score.elbo_nats.mean()], rtol=1e-5)


def test_a_data_set_with_labels_is_fitted_too():
    images = random_images(architectures.get("tiny_dense"), 16)
    labels = np.arange(16, dtype=np.int64)
    plain, _ = _fitted(images, 8, epochs=1)
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
    labelled, _ = _fitted(data, None, epochs=1)
    for a, b in zip(plain.trainable_variables, labelled.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_evaluate_is_the_mean_score(model):
    images = random_images(model.spec, 11)
    model.compile(seed=5)
    logs = model.evaluate(images, batch_size=4, return_dict=True, verbose=0)
    (score,) = scores(model, images, (0,), seed=(5, 1))
    np.testing.assert_allclose(logs["elbo"], score.elbo_nats.mean(), rtol=1e-5)
    kl = np.maximum(score.kl_nats, 2.0).sum(axis=1)  # with the free bits of the objective
    loss = (kl - score.reconstruction_nats).mean()
    np.testing.assert_allclose(logs["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(logs["kl/z2"], score.kl_nats[:, 2].mean(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logs["bits_per_dim"], score.bits_per_dim.mean(), rtol=1e-5)


def test_averaged_weights_are_swapped_in_and_out():
    images = random_images(architectures.get("tiny_dense"), 16)
    model, _ = _fitted(images, 8)
    raw = [v.numpy() for v in model.trainable_variables]
    averages = [v.numpy() for v in model.optimizer.moving_averages.values]
    with model.averaged_weights():
        for v, average in zip(model.trainable_variables, averages, strict=True):
            np.testing.assert_array_equal(v, average)
    for v, weight in zip(model.trainable_variables, raw, strict=True):
        np.testing.assert_array_equal(v, weight)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda m, x: m.fit(x, np.zeros(4), sample_weight=np.ones(4)),
            "sample_weight, class_weight: expected none",
        ),
        (lambda m, x: m.fit(x * 255), r"expected values in \[0, 1\]"),
        (lambda m, x: m.evaluate(x * 255), r"expected values in \[0, 1\]"),
        (lambda m, x: m.evaluate(x[:, 1:]), r"images: expected shape \[n >= 1, 8, 8, 1\]"),
        (
            lambda m, x: m.fit({"images": x}),
            "x: expected an array, a tf.data.Dataset, a keras.utils.PyDataset or a generator, got",
        ),
        (lambda m, x: m.fit(x, class_weight={0: 1.0}), "class_weight: expected none"),
        (lambda m, x: m.evaluate(x, sample_weight=np.ones(4)), "sample_weight, class_weight: exp"),
        (lambda m, x: m.predict(x * 255), r"expected values in \[0, 1\] or uint8 of 0 to 255, got"),
        (lambda m, x: m.fit(iter([x * 255])), r"expected values in \[0, 1\]"),
        (lambda m, x: m.fit(tf.data.Dataset.from_tensors(x * 255)), r"expected values in \[0, 1\]"),
        (lambda m, x: m.compile("adam", loss="mse"), "loss: expected None, got 'mse'"),
        (lambda m, x: m.compile("adam", metrics=["mse"]), "metrics: expected None"),
        (lambda m, x: m.compile("adamant"), "optimizer: expected .* got 'adamant'"),
        (lambda m, x: m.compile(keras.optimizers.Adam), "optimizer: expected .* got <class"),
        (
            lambda m, x: m.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())),
            "optimizer: expected one that does not scale the loss, .*, got LossScaleOptimizer",
        ),
        (
            lambda m, x: m.compile("sgd", objective=Objective(skip_gradient_norm=9.0)),
            "objective.skip_gradient_norm: expected 0, or a biva_tf.Adamax .*, got SGD",
        ),
        (lambda m, x: m(x, training=True), "noise: a training pass needs the noise of its step"),
    ],
)
def test_what_has_no_meaning_is_refused(call, message):
    model = biva_tf.build("tiny_dense")
    model.compile()
    with pytest.raises(ValueError, match=message):
        call(model, random_images(model.spec, 4))


@pytest.mark.parametrize("method", ["initialise", "averaged_weights"])
def test_what_needs_compile_says_so(method):
    model = biva_tf.build("tiny_dense")
    arguments = (random_images(model.spec),) if method == "initialise" else ()
    with pytest.raises(ValueError, match=f"{method}: expected a compiled model"):
        getattr(model, method)(*arguments)


def test_initialising_twice_is_initialising_once():
    images = random_images(architectures.get("tiny_dense"), 16)
    model = biva_tf.build("tiny_dense")
    model.compile()
    weights = []
    for _ in range(2):
        model.initialise(images)
        weights.append([v.numpy() for v in model.trainable_variables])
    for once, twice in zip(*weights, strict=True):
        np.testing.assert_array_equal(once, twice)


def test_compiling_again_starts_anew():
    images = random_images(architectures.get("tiny_dense"), 16)
    model, _ = _fitted(images, 8, epochs=1)
    names = [metric.name for metric in model.metrics]
    model.compile(seed=1)
    assert [metric.name for metric in model.metrics] == names
    assert int(model.optimizer.iterations) == 0
    assert np.isfinite(model.fit(images, batch_size=8, verbose=0).history["loss"]).all()


def test_a_second_score_is_not_traced_again(monkeypatch):
    model = perturbed("tiny_dense")
    images = random_images(model.spec, 5)
    traced = []
    plain = model.image_features
    monkeypatch.setattr(
        model, "image_features", lambda *args, **kwargs: traced.append(1) or plain(*args, **kwargs)
    )
    first = model.score(images, seed=3)
    again = model.score(images, seed=3)
    np.testing.assert_array_equal(first.bound_nats, again.bound_nats)
    assert np.all(model.score(images, seed=4).bound_nats != first.bound_nats)
    model.output_layer.b.assign_add(np.ones(1))
    assert np.all(model.score(images, seed=3).bound_nats != first.bound_nats)  # of its weights now
    assert len(traced) == 1


def test_fit_and_score_on_two_devices_are_those_on_one(tmp_path):
    """Built in the scope of the strategy; compiled and used outside of it.

    The last batch of each pass has one image, so that one of two replicas has none; a first batch
    of nine is not equally divided either.
    """
    code = """
import sys, keras, numpy as np, tensorflow as tf, biva_tf
from biva_tf.inference.scoring import scores
from biva_tf.training.devices import make_strategy
devices, out = int(sys.argv[1]), sys.argv[2]
strategy = make_strategy("mirrored", devices)
keras.utils.set_random_seed(4)
with strategy.scope():
    model = biva_tf.build("tiny_dense")
    optimizer = biva_tf.Adamax(0.01, ema_decay=0.9)
model.compile(optimizer, seed=4)
images = np.random.default_rng(0).integers(0, 2, (17, 8, 8, 1)).astype(np.float32)
history = model.fit(images, batch_size=8, epochs=2, shuffle=False, verbose=0).history
np.savez(
    out,
    loss=history["loss"],
    weights=np.concatenate([np.ravel(v) for v in model.trainable_variables]),
    averages=np.concatenate([np.ravel(v) for v in model.optimizer.moving_averages.values]),
    score=model.score(images[:7], num_importance_samples=3, seed=0).bound_nats,
    evaluated=[
        model.evaluate(images[:9], batch_size=rows, return_dict=True, verbose=0)["elbo"]
        for rows in (4, 9)
    ],
    scored=scores(model, images[:9], (0,), seed=(4, 1))[0].elbo_nats.mean(),
    predicted=model.predict(images[:9], batch_size=4, verbose=0),
    steps=model.optimizer.iterations.numpy(),
)
"""
    found = []
    for devices in (1, 2):
        out = tmp_path / f"{devices}.npz"
        result = run("-c", code, devices, out)
        assert result.returncode == 0, result.stderr[-3000:]
        with np.load(out) as file:
            found.append({name: file[name] for name in file.files})
    assert found[1]["steps"] == 6
    for name in ("loss", "weights", "averages", "score", "predicted"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-4, atol=1e-5)
    for of_devices in found:  # whose weights differ by rounding
        np.testing.assert_allclose(of_devices["evaluated"], of_devices["scored"], rtol=1e-5)


@pytest.mark.parametrize(
    "optimizer", ["adam", "adamax", keras.optimizers.SGD(0.01, momentum=0.9), None]
)
def test_an_optimizer_of_keras_takes_its_own_steps(optimizer, tmp_path):
    """Those that it takes when it is given the gradients of the loss."""
    images = random_images(architectures.get("tiny_dense"), 8)
    model = biva_tf.build("tiny_dense")
    model.compile(optimizer, seed=3)
    model.initialise(images)
    before = [v.numpy() for v in model.trainable_variables]
    alone = type(model.optimizer).from_config(model.optimizer.get_config())
    variables = [keras.Variable(v) for v in before]
    alone.build(variables)
    step = model._training_step
    noise = SeededNoise(tf.constant([3, 0], tf.int64)).fold(0)
    with tf.GradientTape() as tape:
        terms = objectives.terms(model(images, noise=noise, training=True), images)
        loss = tf.reduce_mean(objectives.training_loss(terms, free_bits=step.objective.free_bits))
    alone.apply(tape.gradient(loss, [v.value for v in model.trainable_variables]), variables)
    model.fit(images, batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(model.trainable_variables, variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4, err_msg=a.path)
    assert not np.array_equal(before[0], model.trainable_variables[0])
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert type(again.optimizer) is type(model.optimizer)
    for a, b in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_fit_without_compile_compiles_with_the_defaults():
    images = random_images(architectures.get("tiny_dense"), 8)
    weights = []
    for compiled in (False, True):
        keras.utils.set_random_seed(4)
        model = biva_tf.build("tiny_dense")
        if compiled:
            model.compile()
        model.fit(images, batch_size=4, shuffle=False, verbose=0)
        weights.append([v.numpy() for v in model.trainable_variables])
        assert isinstance(model.optimizer, Adamax) and model.optimizer.ema_decay == 0.9995
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_a_foreign_dtype_policy_is_refused(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        with pytest.raises(SettingsError, match=f"expected float32, got {policy}"):
            biva_tf.build("tiny_dense")
    finally:
        keras.config.set_dtype_policy(before)
