"""Every guide runs in an empty folder from its first cell to its last, and shows what it says."""

import re
from pathlib import Path

import pytest
from conftest import ROOT, run
from PIL import Image

FOLDER = ROOT / "tools" / "guides"

pytestmark = pytest.mark.slow


def _output(name, folder):
    path = FOLDER / f"{name}.py"
    result = run(
        "-c",
        f"import os, runpy, sys; sys.path.insert(0, {str(ROOT)!r}); os.chdir({str(folder)!r}); "
        f"runpy.run_path({str(path)!r}, run_name='__main__')",
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_ones_own_images_become_a_served_model(tmp_path):
    output = _output("own_images", tmp_path)
    means = dict(re.findall(r"^(\w[\w ]*?) +mean L_10 +(-[\d.]+) nats", output, re.MULTILINE))
    assert float(means["digits"]) > float(means["upside down"]) > float(means["noise"])


def test_latents_without_labels_tell_more_of_the_digit_than_pixels(tmp_path):
    output = _output("representations", tmp_path)
    accuracy = dict(re.findall(r"^(\w+) +(0\.\d+)$", output, re.MULTILINE))
    assert float(accuracy["all"]) > float(accuracy["pixels"]) > 0.8


def test_every_figure_of_the_paper_is_drawn_and_its_numbers_are_as_said(tmp_path):
    output = _output("figures_of_the_paper", tmp_path)
    for name in ("samples", "samples_cool", "reconstructions", "kl", "anomalies"):
        low, high = Image.open(tmp_path / "figures" / f"{name}.png").convert("L").getextrema()
        assert low < high, name
    means = re.findall(r"digits ([\d.]+), letters ([\d.]+) nats, AUROC ([\d.]+)", output)
    assert means and all(float(letters) > float(digits) for digits, letters, _ in means)
    assert max(float(auroc) for *_, auroc in means) > 0.8


def test_every_guide_is_tested():
    tested = set(re.findall(r'_output\("(\w+)"', Path(__file__).read_text()))
    assert tested == {path.stem for path in FOLDER.glob("[a-z]*.py")}
