import json

import pytest
from conftest import run

from biva_tf.model import architectures
from biva_tf.model.network import Network
from tools.bench import flops, timing
from tools.bench import model as bench_model


def test_the_flops_of_mnist_l6():
    model = Network(architectures.get("mnist_l6"))
    assert flops.both_passes(model) == 2_817_307_136
    assert 0 < flops.bottom_up_start(model) < flops.both_passes(model)
    # Sampling leaves out only the posteriors and what leads to them.
    assert flops.sampling(model) < flops.both_passes(model) - flops.bottom_up_start(model)


def test_the_ratio_is_of_the_medians_of_turns(monkeypatch):
    """On a clock that the runs themselves move: 2 s a run against 5 s, with one slow round."""
    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    runs = {"auto": 0, "direct": 0}

    def subject(settings, compute):
        def run():
            runs[compute.conv] += 1
            assert abs(runs["auto"] - runs["direct"]) <= 1  # by turns
            slow = 100 if runs[compute.conv] == 3 else 0
            clock[0] += slow + {"auto": 2.0, "direct": 5.0}[compute.conv]

        return bench_model._Subject(run, images=8, multiply_adds=3_000_000_000, startup={})

    monkeypatch.setattr(bench_model, "_train", subject)
    monkeypatch.setattr(bench_model, "_matrix_gflops", lambda: 12.0)
    settings = bench_model.BenchmarkSettings(mode="train", against="direct", rounds=5)
    result = bench_model.run(settings)
    assert runs == {"auto": 5, "direct": 5}
    assert result["ratio"] == pytest.approx(2.5)  # the first is so many times faster
    assert result["seconds"] == pytest.approx(2.0)
    assert result["images_per_second"] == pytest.approx(4.0)
    # 6 GFLOP per image at 4 images/s, of 12 GFLOP/s.
    assert result["effective_utilisation"] == pytest.approx(2.0)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["train", "eval", "sample", "iw"])
def test_benchmark(mode):
    result = run(
        *("-m", "tools.bench.model", "--architecture=mnist_small", f"--mode={mode}", "--batch=4"),
        *("--rounds=2", "--iw_samples=6", "--images=2", "--conv=frequency", "--against=direct"),
    )
    assert result.returncode == 0, result.stderr[-2000:]
    printed = json.loads(result.stdout.strip().splitlines()[-1])
    assert printed["conv"] == "frequency" and printed["against"]["conv"] == "direct"
    images = {"train": 4, "eval": 16, "sample": 16, "iw": 2}[mode]
    assert printed["images_per_second"] == pytest.approx(images / printed["seconds"])
    rate = printed["direct_gflop_per_image"] * printed["images_per_second"]
    used = rate / max(printed["matrix_product_gflops"])
    assert printed["effective_utilisation"] == pytest.approx(used)
    assert set(printed["startup_seconds"]) >= {"import", "build", "first_run"}
    assert printed["peak_memory_gib"] > 0.1


@pytest.mark.slow
def test_crossover():
    command = "tools.bench.crossover", "--architecture=mnist_small", "--batch=2", "--rounds=1"
    result = run("-m", *command)
    assert result.returncode == 0, result.stderr[-2000:]
    lines = result.stdout.splitlines()
    assert any(line.startswith("28x28   5x5      16 ->  32      2     6") for line in lines)
    assert lines[-1].startswith("eval: ") and "of a product" in lines[-1]
