"""Semi-supervised training and classification, through the commands and through Keras."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from conftest import last_json, perturbed, random_images, run, train_args
from html_pages import Page

import biva_tf
from biva_tf import classify, report
from biva_tf.data import pipeline
from biva_tf.data.images import NO_LABEL, Batch
from biva_tf.errors import SettingsError
from biva_tf.evaluation import progress
from biva_tf.inference import exploration, sampling
from biva_tf.model import architectures
from biva_tf.model.spec import Classes
from biva_tf.runs.config import RunConfig
from biva_tf.training import run as training_run
from biva_tf.training.devices import make_strategy
from biva_tf.training.run import train
from biva_tf.training.trainer import Trainer

TINY = dataclasses.replace(architectures.get("tiny_dense"), classes=Classes(3, True, 8))


@pytest.fixture(scope="session")
def semi_json(digits_spec, tmp_path_factory):
    path = tmp_path_factory.mktemp("semi") / "semi.json"
    spec = dataclasses.replace(digits_spec, classes=Classes(10, classifier_units=16))
    path.write_text(spec.to_json())
    return path


@pytest.fixture(scope="module")
def semi(semi_json, tmp_path_factory):
    """(model_dir, completed process) of a run with 50 labels."""
    model_dir = tmp_path_factory.mktemp("run") / "model"
    changes = ("--labels=50", "--learning_rate=0.01", "--steps=60")
    result = run(*train_args(model_dir, semi_json, *changes))
    assert result.returncode == 0, result.stderr[-3000:]
    return model_dir, result


def test_a_run_says_how_many_labels_it_has_and_learns_them(semi):
    model_dir, result = semi
    assert "8,960 to train, 40 to validate, 1,000 to test, 50 labelled" in result.stderr
    lines = [json.loads(line) for line in (model_dir / "metrics.jsonl").read_text().splitlines()]
    nats = [line["classifier_nats"] for line in lines if line["split"] == "train"]
    assert nats[-1] < nats[0] - 0.1
    assert all(0 <= line["accuracy"] <= 1 for line in lines)
    assert "KL y" in result.stdout


def test_classify_reports_what_its_predictions_say(semi, tmp_path):
    model_dir, _ = semi
    table = tmp_path / "predictions.csv"
    args = ("--num_examples=200", "--num_samples=3", f"--predictions={table}")
    result = run("-m", "biva_tf.classify", f"--model_dir={model_dir}", *args)
    assert result.returncode == 0, result.stderr[-3000:]
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 200
    q_y = np.array([[float(row[f"q_{y}"]) for y in range(10)] for row in rows])
    np.testing.assert_allclose(q_y.sum(axis=1), 1, rtol=1e-4)
    labels = np.array([int(row["label"]) for row in rows])
    found = last_json(result.stdout)
    assert found["error"] == pytest.approx(np.mean(q_y.argmax(axis=1) != labels))
    assert found["error"] < 0.85  # chance is 0.9
    nll = -np.log(q_y[np.arange(200), labels]).mean()
    assert found["nll_nats"] == pytest.approx(nll, rel=1e-5)
    whole = json.loads((model_dir / "evaluations" / "mnist_10k_test_classes.json").read_text())
    assert np.sum(whole["confusion"]) == 200
    assert np.trace(whole["confusion"]) == pytest.approx(200 * (1 - found["error"]))
    assert (model_dir / "evaluations" / "mnist_10k_test_classes.png").exists()


def test_of_the_labels_alone_the_last_weights_are_selected(semi_json, tmp_path):
    """Their bound, which is not trained, was better before."""
    changes = ("--labels=50", "--bound_weight=0", "--learning_rate=0.01")
    result = run(*train_args(tmp_path, semi_json, *changes))
    assert result.returncode == 0, result.stderr[-3000:]
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    before, after = (row["elbo"] for row in rows if row["split"] == "validation")
    assert before > after
    assert json.loads((tmp_path / "summary.json").read_text())["selected_step"] == 40


def test_sample_draws_every_class_and_one_class(semi, tmp_path):
    model_dir, _ = semi
    args = ("-m", "biva_tf.sample", f"--model_dir={model_dir}", f"--output={tmp_path}/out")
    result = run(*args, "--mode=classes", "--num_samples=3")
    assert result.returncode == 0, result.stderr[-3000:]
    with np.load(tmp_path / "out.npz") as file:
        classes = file["images"]
    assert classes.shape == (10, 3, 28, 28, 1)
    assert np.abs(classes[1:] - classes[:-1]).max(axis=(1, 2, 3, 4)).min() > 0
    result = run(*args, "--label=3", "--num_samples=3")
    assert result.returncode == 0, result.stderr[-3000:]
    with np.load(tmp_path / "out.npz") as file:
        np.testing.assert_allclose(file["images"], classes[3], atol=1e-5)
    result = run(*args, "--label=11")
    assert result.returncode == 1
    assert "label: expected an integer in 0..9, got 11" in result.stderr


def test_classify_says_how_long_it_takes(semi, monkeypatch, capsys):
    model_dir, _ = semi
    monkeypatch.setattr(progress, "_LONG", 0)  # seconds: everything is long
    settings = {"model_dir": str(model_dir), "num_examples": 20, "num_samples": 1, "max_rows": 8}
    classify.run(classify.ClassifySettings(**settings))
    assert "20 images: about 0 minutes to go\n" in capsys.readouterr().err


def test_a_page_shows_every_class_and_the_confusion_matrix(semi, tmp_path):
    model_dir, _ = semi
    classify.run(classify.ClassifySettings(model_dir=str(model_dir), num_examples=20))
    output = str(tmp_path / "page.html")
    path = report.run(report.ReportSettings(model_dir=str(model_dir), output=output))
    shown = Page(path.read_text())
    pictures = {alt.split(",")[0].split(":")[0]: picture for alt, picture in shown.pictures}
    assert pictures["Per row a class"].shape[:2] == (10 * 58 + 2, 8 * 58 + 2)
    assert "Confusion matrix of mnist_10k test" in pictures
    whole = json.loads((model_dir / "evaluations" / "mnist_10k_test_classes.json").read_text())
    assert shown.row("error") == [f"{100 * whole['error']:.2f} %"]


@pytest.mark.slow
def test_evaluate_anomaly_plot_and_export_take_a_model_with_classes(semi, tmp_path):
    model_dir, _ = semi
    given = f"--model_dir={model_dir}"
    for command in (
        ("evaluate", "--iw_samples=2", "--num_examples=8"),
        ("anomaly", "--out_dataset=letters_2k", "--iw_samples=2", "--num_examples=8"),
        ("plot",),
        ("sample", "--mode=interpolate", "--examples=0,1", "--steps=3"),
        ("sample", "--mode=traverse"),
        ("export", f"--export_dir={tmp_path}"),
    ):
        result = run("-m", f"biva_tf.{command[0]}", given, *command[1:])
        assert result.returncode == 0, result.stderr[-3000:]


def test_settings_that_need_classes_are_refused_without(digits_json, tmp_path):
    config = RunConfig(architecture=str(digits_json), labels=10)
    with pytest.raises(SettingsError, match=r"^labels: expected an architecture with classes"):
        train(config, tmp_path / "model")
    with pytest.raises(SettingsError, match="expected a multiple of twice the 1 replicas"):
        Trainer(TINY, RunConfig(batch_size=3), make_strategy("one_device"))
    with pytest.raises(SettingsError, match="expected a model with classes"):
        classify.run(classify.ClassifySettings(pretrained="fashion_small"))


def _batch(rows=8):
    labels = np.arange(rows) % 3
    labels[1::2] = NO_LABEL
    return Batch(tf.constant(random_images(TINY, rows)), tf.constant(labels, tf.int64))


@pytest.mark.parametrize(
    ("labels", "alpha", "expected"),
    [(100, None, 9.0), (None, None, 0.1), (100, 5.0, 5.0), (100, 0.0, 0.0)],
)
def test_alpha_is_by_default_a_tenth_of_the_training_images_per_label(labels, alpha, expected):
    config = RunConfig(validation_size=0, labels=labels, alpha=alpha)
    data = pipeline.load(config.data, config.seed, classes=10)
    assert training_run._alpha(config, data) == pytest.approx(expected)


def _trained_once(classifier_weight=1.0, free_bits=0.0, **settings):
    config = RunConfig(batch_size=8, ema_decay=0.0, free_bits=free_bits, **settings)
    trainer = Trainer(TINY, config, make_strategy("one_device"), classifier_weight)
    trainer.initialise(_batch().images)
    before = {v.path: v.numpy() for v in trainer.model.trainable_variables}
    loss, metrics = trainer.train_step(_batch())
    moved = {
        v.path for v in trainer.model.trainable_variables if np.any(v.numpy() != before[v.path])
    }
    return float(loss), {name: float(value) for name, value in metrics.items()}, moved


def test_the_loss_is_the_bounds_and_alpha_times_the_labels():
    without, metrics, _ = _trained_once(classifier_weight=0.0)
    assert without == pytest.approx(-metrics["elbo"], rel=1e-5)
    # Half of the rows are labelled; `classifier_nats` is their mean.
    loss, metrics, _ = _trained_once(classifier_weight=5.0)
    assert loss == pytest.approx(-metrics["elbo"] + 5.0 * metrics["classifier_nats"] / 2, rel=1e-5)


def test_the_class_has_no_free_bits_and_the_kl_weight_is_of_all_terms():
    # Of so many free bits, every latent of every row uses less.
    loss, metrics, _ = _trained_once(0.0, free_bits=100.0, kl_weight=0.5)
    kl = 100.0 * len(TINY.latents) + metrics["kl/y"]
    assert loss == pytest.approx(-metrics["reconstruction"] + 0.5 * kl, rel=1e-5)
    assert metrics["kl/y"] > 0.1


def test_without_the_bounds_the_labels_train_the_classifier_alone():
    loss, metrics, moved = _trained_once(bound_weight=0.0)
    assert loss == pytest.approx(metrics["classifier_nats"] / 2, rel=1e-5)
    assert any(path.startswith("qy") for path in moved)
    generative = ("pz_", "deterministic_generative", "dense2conv_0", "dense2conv_1", "dense/")
    assert not [path for path in moved if path.startswith(generative)]


def test_keras_fit_takes_labels_and_their_absence():
    model = biva_tf.build(TINY)
    model.compile(seed=1)
    x = random_images(TINY, 24)
    y = np.where(np.arange(24) % 4 == 0, np.arange(24) % 3, NO_LABEL)
    history = model.fit(x, y, batch_size=8, epochs=8, shuffle=False, verbose=0).history
    assert history["classifier_nats"][-1] < history["classifier_nats"][0]
    assert set(history) >= {"accuracy", "kl/y", "loss"}


def test_classify_does_not_depend_on_the_chunks_and_needs_classes():
    model = perturbed(TINY)
    images = random_images(TINY, 7)
    whole = model.classify(images, num_samples=4, seed=2)
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-5)
    chunked = model.classify(images, num_samples=4, seed=2, max_rows=3)
    np.testing.assert_allclose(whole, chunked, rtol=1e-5)
    with pytest.raises(ValueError, match="the model has no classes"):
        biva_tf.build("tiny_dense").classify(images)


def test_samples_of_a_label_are_the_samples_that_drew_it():
    model = perturbed(TINY)
    drawn = model.sample(40, seed=3)
    of_class = [model.sample(40, seed=3, label=y) for y in range(3)]
    matches = np.array(
        [[np.allclose(a, b, atol=1e-6) for a, b in zip(drawn, s, strict=True)] for s in of_class]
    )
    assert (matches.sum(axis=0) == 1).all()
    assert (matches.sum(axis=1) > 4).all()
    with pytest.raises(ValueError, match=r"label: expected an integer in 0\.\.2, got 3"):
        sampling.sample(model, 1, label=3)


def test_a_sample_keeps_its_draws_in_every_class(monkeypatch):
    monkeypatch.setattr(exploration, "_MAX_ROWS", 12)  # four samples of the three classes
    model = perturbed(TINY)
    found = exploration.every_class(model, 10, seed=3)
    for y in range(3):
        np.testing.assert_allclose(found[y], model.sample(10, seed=3, label=y), atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3
