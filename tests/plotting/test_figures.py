import numpy as np
import tensorflow as tf
from conftest import run

from biva_tf.model import architectures
from biva_tf.plotting import figures

NAMES = [latent.name for latent in architectures.get("cifar10_l15").latents]


def _decoded(path):
    return tf.io.decode_png(path.read_bytes(), channels=3).numpy()


def test_figure_2_has_a_line_for_each_of_29_latents(tmp_path):
    steps = np.arange(1, 11) * 100
    kl = np.exp(np.random.default_rng(0).normal(size=(10, 29)))
    kl[0, 3] = -1.0  # a one-sample estimate can be negative; it has no logarithm
    figure = figures.log_kl(steps, kl, NAMES)
    (panel,) = figure.axes
    assert [line.get_label() for line in panel.lines] == NAMES
    assert len({line.get_color().tobytes() for line in panel.lines}) == 29
    assert panel.get_yscale() == "log" and "nats" in panel.get_ylabel()
    assert np.isnan(panel.lines[3].get_ydata()[0])
    figures.write(tmp_path / "f" / "log_kl.png", figure)
    assert _decoded(tmp_path / "f" / "log_kl.png").std() > 10


def test_bars_are_in_the_order_of_the_paper():
    figure = figures.kl_bars(np.arange(29.0), NAMES, "test")
    (panel,) = figure.axes
    assert [bar.get_height() for bar in panel.patches] == list(range(29))
    assert [label.get_text() for label in panel.get_xticklabels()] == NAMES


def test_figure_4_has_a_panel_for_each_k():
    rng = np.random.default_rng(0)
    scores = {k: (rng.normal(size=50), rng.normal(1, 2, 60)) for k in (13, 11, 0)}
    figure = figures.histograms(scores, ("in", "out"), "bits/dim")
    assert len(figure.axes) == 3
    for panel in figure.axes:
        assert len(panel.lines) == 2 and "bits/dim" in panel.get_xlabel()


def test_every_scalar_metric_has_a_panel():
    """This includes a metric that the code does not know by name."""
    steps = np.arange(20)
    curves = {
        "loss": {"train": (steps, np.exp(-steps))},
        "news": {"train": (steps, steps * 0.0), "validation": (steps[::10], steps[::10] * 1.0)},
    }
    figure = figures.metrics(curves)
    assert [panel.get_title() for panel in figure.axes] == ["loss", "news"]
    assert [len(panel.lines) for panel in figure.axes] == [1, 2]
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), np.exp(-steps))


def test_the_plot_command_writes_every_picture(trained):
    result = run("-m", "biva_tf.plot", f"--model_dir={trained}")
    assert result.returncode == 0, result.stderr[-3000:]
    names = sorted(path.name for path in (trained / "pictures").iterdir())
    assert names == ["kl.png", "learning_curves.png", "log_kl.png", "metrics.png"]
    for name in names:
        assert _decoded(trained / "pictures" / name).std() > 10


def test_plotting_without_metrics_is_an_error(trained, tmp_path):
    (trained / "metrics.jsonl").unlink()
    result = run("-m", "biva_tf.plot", f"--model_dir={trained}")
    assert result.returncode == 1 and "metrics.jsonl: no such file" in result.stderr
