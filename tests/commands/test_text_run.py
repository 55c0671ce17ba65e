"""A model of sentences: trained by the command, resumed, evaluated, sampled."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from conftest import last_json, run
from html_pages import Page

from biva_tf import anomaly, compress, evaluate, export, report, sample
from biva_tf.compression.errors import CompressionError
from biva_tf.data.sources import DataError
from biva_tf.model import architectures
from biva_tf.serving.exporting import ExportError


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """`tiny_text` for longer sentences and more words."""
    plain = json.loads(architectures.get("tiny_text").to_json())
    plain["image_shape"][0] = 8
    plain["likelihood"]["vocabulary"] = 200
    path = tmp_path_factory.mktemp("spec") / "text.json"
    path.write_text(json.dumps(plain))
    return path


def _train(model_dir, spec, *changes):
    settings = (
        *(f"--architecture={spec}", "--dataset=glosses", "--free_bits=0", "--batch_size=16"),
        *("--log_every=5", "--eval_every=20", "--checkpoint_every=10", "--ema_decay=0.9"),
    )
    return run("-m", "biva_tf.train", f"--model_dir={model_dir}", *settings, *changes)


@pytest.fixture(scope="module")
def trained(spec, tmp_path_factory):
    """(model_dir, completed process) of a run that was resumed once."""
    model_dir = tmp_path_factory.mktemp("text") / "model"
    first = _train(model_dir, spec, "--steps=20")
    assert first.returncode == 0, first.stderr[-3000:]
    result = _train(model_dir, spec, "--steps=40")
    assert result.returncode == 0, result.stderr[-3000:]
    return model_dir, result


@pytest.mark.slow
def test_a_resumed_run_ends_as_an_uninterrupted_one(trained, spec, tmp_path):
    _, resumed = trained
    assert "going on from step 20" in resumed.stderr
    whole = _train(tmp_path / "whole", spec, "--steps=40")
    assert last_json(whole.stdout) == last_json(resumed.stdout)


@pytest.mark.slow
def test_two_devices_train_like_one(trained, spec, tmp_path):
    two = _train(tmp_path / "two", spec, "--steps=40", "--logical_devices=2", "--strategy=mirrored")
    assert two.returncode == 0, two.stderr[-3000:]
    expected = last_json(trained[1].stdout)
    assert last_json(two.stdout)["elbo_nats"] == pytest.approx(expected["elbo_nats"], rel=1e-4)


@pytest.mark.slow
def test_a_fine_tuned_model_has_the_vocabulary_of_its_start(trained, spec, tmp_path):
    result = _train(tmp_path / "tuned", spec, "--steps=20", f"--init_from={trained[0]}")
    assert result.returncode == 0, result.stderr[-3000:]
    words = [(path / "vocabulary.txt").read_text() for path in (trained[0], tmp_path / "tuned")]
    assert words[0] == words[1] and "starting from the weights of step" in result.stderr


def test_what_became_of_the_lines_is_said(trained):
    _, result = trained
    assert "glosses train: 18,000 lines, 0 empty (dropped), " in result.stderr
    assert " too long (cut), " in result.stderr and " unknown (" in result.stderr
    assert "validation ELBO" in result.stderr and ", perplexity " in result.stderr
    assert "bits/dim" not in result.stderr + result.stdout


def test_its_vocabulary_and_samples_are_text(trained):
    model_dir, _ = trained
    words = (model_dir / "vocabulary.txt").read_text().splitlines()
    assert len(words) == 197 and words[:2] == ["a", "of"]
    for name in ("step_0000020", "final"):
        assert len((model_dir / "samples" / f"{name}.txt").read_text().splitlines()) == 20
        assert not (model_dir / "samples" / f"{name}.png").exists()
    tags = set()
    for path in (model_dir / "tensorboard").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            tags |= {value.tag for value in event.summary.value}
    assert {"samples", "validation/perplexity", "train/elbo"} <= tags


def test_its_evaluation_reports_the_perplexity(trained):
    settings = evaluate.EvaluateSettings(model_dir=str(trained[0]), iw_samples=5, num_examples=50)
    found = evaluate.run(settings)
    summary = found.summary
    sentences = settings.load().images().first(50)
    assert summary.l_1.nats <= summary.l_k.nats
    expected = np.exp(-summary.l_k.nats * 50 / sentences.tokens)
    assert summary.perplexity == pytest.approx(expected)
    assert json.loads(found.path.read_text())["perplexity"] == summary.perplexity
    written = json.loads((trained[0] / "summary.json").read_text())
    assert written["bits_per_dim"] is None and 1 < written["perplexity"] < 200


@pytest.mark.parametrize(
    "mode,changes,shape,lines",
    [
        ("prior", {"num_samples": 3}, (3,), 3),
        ("reconstruct", {"examples": (4, 9)}, (2, 2), 2 * 4),
        ("interpolate", {"examples": (4, 9), "steps": 5}, (1, 5), 8),
        ("levels", {"num_samples": 3}, (3, 2), 3 * 3),
    ],
)
def test_its_samples_are_texts(trained, tmp_path, mode, changes, shape, lines):
    output = str(tmp_path / mode)
    settings = sample.SampleSettings(model_dir=str(trained[0]), mode=mode, output=output, **changes)
    drawn = sample.run(settings)
    assert drawn.png is None and drawn.npz.exists()
    assert drawn.arrays["images"].shape == (*shape, 8, 1, 1)
    assert drawn.arrays["texts"].shape == shape
    assert len(drawn.txt.read_text().splitlines()) == lines
    again = sample.run(settings)
    np.testing.assert_array_equal(again.arrays["images"], drawn.arrays["images"])


def test_the_command_prints_the_texts(trained):
    result = run("-m", "biva_tf.sample", f"--model_dir={trained[0]}", "--mode=prior")
    assert result.returncode == 0, result.stderr[-3000:]
    *texts, npz, txt = result.stdout.splitlines()
    assert len(texts) == 20 and npz.endswith("prior.npz") and txt.endswith("prior.txt")


def test_its_page_shows_sentences(trained, tmp_path):
    model_dir, _ = trained
    output = str(tmp_path / "page.html")
    path = report.run(report.ReportSettings(model_dir=str(model_dir), output=output))
    shown = Page(path.read_text())
    sampled = sample.run(
        sample.SampleSettings(model_dir=str(model_dir), output=str(tmp_path / "prior"))
    )
    assert sampled.txt.read_text() in shown.text
    (bound,) = shown.row("test -ELBO")
    assert re.fullmatch(r"[\d.]+ nats, perplexity [\d.]+ per token", bound)
    assert not any("samples" in alt or "reconstructions" in alt for alt, _ in shown.pictures)


def test_it_is_not_exported_or_compressed_and_does_not_score_images(trained, tmp_path):
    model_dir = str(trained[0])
    with pytest.raises(ExportError, match=r"expected a model of images in .*, got .* text"):
        export.run(export.ExportSettings(model_dir=model_dir, export_dir=str(tmp_path / "e")))
    (tmp_path / "images").mkdir()
    files = {"input": str(tmp_path / "images"), "output": str(tmp_path / "o.biva")}
    given = compress.CompressSettings(model_dir=model_dir, **files)
    with pytest.raises(CompressionError, match=r"^model_dir=.*: expected a likelihood of pixels"):
        compress.run(given)
    with pytest.raises(DataError, match=r"^dataset=letters_2k has images of shape"):
        anomaly.run(anomaly.AnomalySettings(model_dir=model_dir, out_dataset="letters_2k"))


def test_a_missing_vocabulary_is_named(trained, tmp_path):
    (tmp_path / "config.json").write_text((trained[0] / "config.json").read_text())
    with pytest.raises(DataError, match=r"vocabulary\.txt: expected the vocabulary"):
        sample.run(sample.SampleSettings(model_dir=str(tmp_path)))
