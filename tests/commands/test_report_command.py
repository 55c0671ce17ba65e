"""The page about a run, through the real command."""

import json
import shutil

import pytest
from conftest import DATA, run
from html_pages import Page

from biva_tf import anomaly, evaluate, report


def _summary(model_dir):
    return json.loads((model_dir / "summary.json").read_text())


@pytest.fixture(scope="module")
def written(finished, tmp_path_factory):
    """(model_dir, HTML) of a run with evaluations, and a setting that has to be escaped."""
    model_dir = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(finished[0], model_dir)
    plain = json.loads((model_dir / "config.json").read_text())
    plain["settings"]["init_from"] = "<script>&"
    (model_dir / "config.json").write_text(json.dumps(plain))
    few = {"model_dir": str(model_dir), "iw_samples": 2, "num_examples": 8, "k": (1,)}
    evaluate.run(evaluate.EvaluateSettings(**few))
    anomaly.run(anomaly.AnomalySettings(**few, out_dataset="letters_2k"))
    result = run("-m", "biva_tf.report", f"--model_dir={model_dir}", "--num_samples=5")
    assert result.returncode == 0 and result.stderr == "", result.stderr[-3000:]
    assert result.stdout == f"{model_dir / 'report.html'}\n"
    return model_dir, (model_dir / "report.html").read_text()


def test_it_is_one_file_with_all_sections(written):
    _, html = written
    shown = Page(html)
    assert shown.headings == [
        *("Summary", "Bounds", "Training", "Samples", "Reconstructions"),
        *("Traversal of the top latent", "Anomaly detection", "Settings"),
    ]
    assert "http://" not in html and "https://" not in html and "url(" not in html


def test_its_numbers_are_those_of_the_run(written):
    model_dir, html = written
    shown, summary = Page(html), _summary(model_dir)
    bound = f"{-summary['elbo_nats']:.3f} nats, {summary['bits_per_dim']:.4f} bits/dim"
    assert shown.row("test -ELBO") == [bound]
    for name, kl in summary["kl_nats"].items():
        assert [name, f"{kl:.3f}"] in shown.rows
    assert shown.row("data set") == ["mnist_10k"] and shown.row("training steps") == ["40"]


def test_its_numbers_are_those_of_the_evaluations(written):
    model_dir, html = written
    shown = Page(html)
    (path,) = (model_dir / "evaluations").glob("mnist_10k_test_*.json")
    l_k = json.loads(path.read_text())["l_k"]
    nats, bits, examples, _, data = shown.row("-L2")
    assert nats == f"{-l_k['nats']:.3f} ± {l_k['nats_standard_error']:.3f}"
    assert bits == f"{l_k['bits_per_dim']:.4f} ± {l_k['bits_per_dim_standard_error']:.4f}"
    assert (examples, data) == ("8", "mnist_10k test")
    (path,) = (model_dir / "evaluations").glob("*against*.json")
    found = json.loads(path.read_text())["detection"]["LLR_2^{>1}"]
    assert shown.row("LLR2>1") == [f"{found[name]:.4f}" for name in ("auroc", "auprc", "fpr80")]


def test_its_pictures(written):
    _, html = written
    pictures = dict(Page(html).pictures)
    shapes = {alt.split(",")[0]: picture.shape for alt, picture in pictures.items()}
    cell = 58
    assert shapes["5 samples of the prior (the probability of every pixel)"][:2] == (
        2 * cell + 2,
        3 * cell + 2,
    )
    assert shapes["From left to right: a test example"][:2] == (8 * cell + 2, 4 * cell + 2)
    assert shapes["Per row a unit of z3"][:2] == (2 * cell + 2, 11 * cell + 2)
    assert {"-ELBO of every split over training", "gradient_norm over training"} <= set(shapes)
    assert "Histograms of -L^{>k} of mnist_10k and letters_2k" in shapes


def test_its_settings_are_escaped(written):
    _, html = written
    assert "<script" not in html
    assert Page(html).row("init_from") == ["<script>&"]


def test_what_a_run_lacks_is_said(trained):
    """A run without metrics and data, and with files that cannot be read."""
    (trained / "metrics.jsonl").unlink()
    (trained / "summary.json").write_text("{")
    plain = json.loads((trained / "config.json").read_text())
    plain["settings"]["dataset"] = "fashion_mnist"
    plain["settings"]["data_dir"] = str(trained / "nowhere")
    (trained / "config.json").write_text(json.dumps(plain))
    (trained / "evaluations").mkdir()
    (trained / "evaluations" / "broken.json").write_text("{")
    shown = Page(report.run(report.ReportSettings(model_dir=str(trained))).read_text())
    assert "Training" not in shown.headings and "Samples" in shown.headings
    assert "There are no evaluations and no result yet." in shown.text
    assert "There are none: " in shown.text and "nowhere" in shown.text
    assert "There are no learning curves: " in shown.text
    assert "summary.json: expected the result of a run" in shown.text
    assert "broken.json: expected the result of an evaluation" in shown.text


def test_a_run_without_weights_has_a_page(trained):
    shutil.rmtree(trained / "weights")
    (trained / "summary.json").unlink()
    output = trained / "new" / "page.html"
    path = report.run(report.ReportSettings(model_dir=str(trained), output=str(output)))
    assert path == output
    shown = Page(path.read_text())
    assert shown.row("weights of step") == ["none yet"] and shown.row("training steps logged") == [
        "40"
    ]
    assert "There are no samples: " in shown.text and "Samples" not in shown.headings


def test_a_model_that_ships_has_its_evaluation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = report.run(report.ReportSettings(pretrained="mnist_10k_small", num_samples=2))
    assert str(path) == "runs/pretrained/mnist_10k_small/report.html"
    assert Page(path.read_text()).row("-L100")[0] == "60.649 ± 0.569"


def test_a_missing_run_is_an_error_in_one_line(tmp_path):
    result = run("-m", "biva_tf.report", f"--model_dir={tmp_path / 'nowhere'}")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("report: ") and "is it the model_dir of a run?" in line


def test_a_run_of_an_earlier_version_has_a_page(tmp_path):
    model_dir = shutil.copytree(DATA / "golden_run", tmp_path / "run")
    shown = Page(report.run(report.ReportSettings(model_dir=str(model_dir))).read_text())
    assert "Samples" in shown.headings and "Training" in shown.headings
