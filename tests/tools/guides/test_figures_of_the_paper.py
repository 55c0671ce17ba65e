"""The guide to the paper's figures runs in an empty folder, and shows what its text says."""

import os
import re
import subprocess
import sys

from conftest import ROOT
from PIL import Image


def test_the_guide_draws_every_figure_and_its_numbers_are_as_it_says(tmp_path):
    result = subprocess.run(
        [sys.executable, ROOT / "tools" / "guides" / "figures_of_the_paper.py"],
        **{"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}},
        **{"text": True, "capture_output": True, "timeout": 600},
    )
    assert result.returncode == 0, result.stderr
    names = ("samples", "samples_cool", "reconstructions", "kl", "anomalies")
    for name in names:
        low, high = Image.open(tmp_path / "figures" / f"{name}.png").convert("L").getextrema()
        assert low < high, name
    means = re.findall(r"digits ([\d.]+), letters ([\d.]+) nats, AUROC ([\d.]+)", result.stdout)
    assert means and all(float(letters) > float(digits) for digits, letters, _ in means)
    assert max(float(auroc) for *_, auroc in means) > 0.8
