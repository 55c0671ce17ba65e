import json

import numpy as np
import pytest
import tensorflow as tf
from conftest import last_json, run

import biva_tf
from biva_tf import api


def test_the_command_prints_and_writes_the_scores(trained):
    args = (f"--model_dir={trained}", "--out_dataset=letters_2k", "--num_examples=40")
    result = run("-m", "biva_tf.anomaly", *args, "--k=0,2", "--iw_samples=2")
    assert result.returncode == 0, result.stderr[-3000:]
    of_bounds = {"-L_2^{>2}", "-L_2^{>0}", "LLR_2^{>2}"}
    assert last_json(result.stdout).keys() == {"-L^{>2}", "-L^{>0}", "LLR^{>2}"} | of_bounds
    for text in ("AUROC", "AUPRC", "FPR80", "letters_2k (positive) against mnist_10k", "in nats"):
        assert text in result.stdout
    (path,) = (trained / "evaluations").glob("*_against_*.json")
    written = json.loads(path.read_text())
    # The printed table has the written scores, which are those of `evaluate`.
    for i, name in enumerate(("mnist_10k", "letters_2k")):
        lines = [line.split() for line in result.stdout.splitlines() if "(" not in line]
        tables = [line[1:] for line in lines if line[:1] == [name]]
        for table, means in zip(tables, ("L_above", "L_K_above"), strict=True):
            expected = [-written[means][k][i]["nats"] for k in ("2", "0")]
            np.testing.assert_allclose(np.float64(table), expected, atol=0.006)
    letters = api.load(trained).images("letters_2k")[:40]
    above = biva_tf.load(trained).score(letters, k=2, num_importance_samples=2, seed=0)
    assert above.elbo_nats.mean() == pytest.approx(written["L_above"]["2"][1]["nats"], rel=1e-6)
    assert above.bound_nats.mean() == pytest.approx(written["L_K_above"]["2"][1]["nats"], rel=1e-6)
    picture = tf.io.decode_png(path.with_suffix(".png").read_bytes()).numpy()
    assert picture.shape[1] > 2 * picture.shape[0] * 0.9 and picture.std() > 10


def test_below_mode_gives_the_latents_up_to_k_their_prior_modes(trained):
    args = (f"--model_dir={trained}", "--out_dataset=letters_2k", "--num_examples=10", "--k=1")
    result = run("-m", "biva_tf.anomaly", *args, "--below=mode")
    assert "latents <= k: prior mode" in result.stdout
    (path,) = (trained / "evaluations").glob("*_against_*.json")
    digits = api.load(trained).images("mnist_10k")[:10]
    mode = biva_tf.load(trained).score(digits, k=1, num_importance_samples=10, below="mode", seed=0)
    written = json.loads(path.read_text())["L_above"]["1"][0]["nats"]
    assert mode.elbo_nats.mean() == pytest.approx(written, rel=1e-6)
