import dataclasses
import json
import shutil

import numpy as np
import pytest
from conftest import last_json, perturbed, random_images, run

from biva_tf.evaluation.evaluator import EvaluationError, Evaluator
from biva_tf.evaluation.scoring_config import ScoringConfig
from biva_tf.evaluation.summary import summarise

EVALUATE = ("--iw_samples=20", "--num_examples=30")


def _evaluate(model_dir, *args):
    return run("-m", "biva_tf.evaluate", f"--model_dir={model_dir}", *args)


@pytest.fixture
def scored(model, tmp_path):
    images = random_images(model.spec, 5)
    settings = ScoringConfig(iw_samples=3, ks=(1,))
    results = Evaluator(model, settings, 4, tmp_path).scores(images, "random test")
    return images, settings, results


def test_scores_are_those_of_the_model(model, scored):
    images, _, results = scored
    score = model.score(images, num_importance_samples=3, seed=0)
    np.testing.assert_allclose(results.examples["bound"], score.bound_nats, rtol=1e-5)
    np.testing.assert_allclose(results.examples["elbo"], score.elbo_nats, rtol=1e-5)
    above = model.score(images, num_importance_samples=3, k=1, seed=0)
    np.testing.assert_allclose(results.examples["above_1"], above.elbo_nats, rtol=1e-5)


def test_above_0_is_l_1_under_the_same_noise(scored):
    """Here the two are computed in batches of different sizes, so that rounding differs.

    In one batch they are equal bit for bit (tests/inference/test_scoring.py).
    """
    _, _, results = scored
    np.testing.assert_allclose(results.examples["above_0"], results.examples["elbo"], rtol=1e-6)


def test_the_kl_in_closed_form_is_one_more_number_of_a_latent(model, scored, tmp_path):
    images, settings, results = scored
    evaluator = Evaluator(model, settings, 4, tmp_path, with_closed_kl=True)
    again = evaluator.scores(images, "random test")
    closed = again.examples["closed_kl"]
    assert closed.shape == again.examples["kl"].shape and (closed >= 0).all()
    for name, values in results.examples.items():
        np.testing.assert_allclose(again.examples[name], values, rtol=1e-5)
    latents = summarise(again, settings, model.spec).latents
    np.testing.assert_allclose([z.closed_kl_nats for z in latents], closed.mean(axis=0))
    assert {z.closed_kl_nats for z in summarise(results, settings, model.spec).latents} == {None}


def test_another_k_does_not_recompute_the_bounds(model, scored, tmp_path, monkeypatch):
    images, _, results = scored
    evaluator = Evaluator(model, ScoringConfig(iw_samples=3, ks=(0, 1)), 4, tmp_path)
    monkeypatch.setattr(evaluator, "_bound_arrays", None)
    again = evaluator.scores(images, "random test")
    np.testing.assert_array_equal(again.examples["bound"], results.examples["bound"])


def test_one_example_has_no_standard_error_and_no_active_units(model, tmp_path):
    settings = ScoringConfig(iw_samples=2)
    results = Evaluator(model, settings, 4, tmp_path).scores(random_images(model.spec, 1), "one")
    summary = summarise(results, settings, model.spec)
    assert summary.l_k.nats_standard_error is None
    assert all(z.active_units is None for z in summary.latents)
    json.dumps(dataclasses.asdict(summary), allow_nan=False)


def test_the_variance_of_a_shift_does_not_depend_on_the_number_of_samples(model, tmp_path):
    """A shift is the posterior's mean minus the prior's, averaged over K samples. Its variance over
    images is corrected for the variance of that average.

    With the correction the estimates from K = 8 and K = 64 agree; without it they do not.
    """
    images = np.repeat(random_images(model.spec, 3), 200, axis=0)
    variances = {}
    for k in (8, 64):
        results = Evaluator(model, ScoringConfig(iw_samples=k), 4800, tmp_path).scores(
            images, "a test"
        )
        totals = results.totals
        mean = totals["shift/z1_td"] / results.done
        variances[k] = (totals["shift_squared/z1_td"] / results.done - mean**2).sum()
    assert variances[8] == pytest.approx(variances[64], rel=0.2)


def test_the_summary_has_the_means_of_the_examples(model, scored):
    _, settings, results = scored
    summary = summarise(results, settings, model.spec)
    bounds = results.examples["bound"]
    dims = np.prod(model.spec.image_shape)
    assert summary.examples == 5
    assert summary.l_k.nats == pytest.approx(bounds.mean())
    assert summary.l_k.nats_standard_error == pytest.approx(bounds.std(ddof=1) / 5**0.5)
    assert summary.l_k.bits_per_dim == pytest.approx(-bounds.mean() / dims / np.log(2))
    kl = sum(z.kl_nats for z in summary.latents)
    assert summary.l_1.nats == pytest.approx(summary.reconstruction_nats - kl, rel=1e-5)
    llr = results.examples["above_0"] - results.examples["above_1"]
    assert summary.llr[1].nats == pytest.approx(llr.mean())
    assert summary.llr[1].bits_per_dim == pytest.approx(llr.mean() / dims / np.log(2))


def test_a_unit_whose_posterior_is_its_prior_is_not_active(tmp_path):
    model = perturbed("tiny_dense")
    images = random_images(model.spec, 40)
    settings = ScoringConfig(iw_samples=16)

    def active():
        results = Evaluator(model, settings, 64, tmp_path).scores(images, "random test")
        return {z.name: z.active_units for z in summarise(results, settings, model.spec).latents}

    before = active()
    assert before["z1_td"] > 0
    # Without gains and biases, the means of q and p of level 1 are constant and equal.
    for variable in model.trainable_variables:
        if "_1_mean/" in variable.path and variable.path.endswith(("/g", "/b")):
            variable.assign(np.zeros(variable.shape))
    after = active()
    assert after["z1_td"] == after["z1_bu"] == 0


def test_an_example_without_a_finite_score_is_named_and_costs_no_other_its_own(
    model, tmp_path, capsys
):
    images = random_images(model.spec, 4)
    settings = ScoringConfig(iw_samples=2, ks=(1,))

    def scored(images, name):
        results = Evaluator(model, settings, 1, tmp_path).scores(images, name)
        return results.examples, summarise(results, settings, model.spec)

    before, summary = scored(images, "even test")
    assert np.isfinite(summary.l_k.nats) and not capsys.readouterr().err
    images[2, 0, 0, 0] = np.nan
    after, odd_summary = scored(images, "odd test")
    assert (
        "note: 1 of 4 examples of odd test have scores that are not finite (number 2)"
        in capsys.readouterr().err
    )
    others = [0, 1, 3]
    for name, values in before.items():
        np.testing.assert_array_equal(after[name][others], values[others])
        assert not np.isnan(after[name]).any()
    assert after["bound"][2] == after["elbo"][2] == after["above_1"][2] == -np.inf
    assert odd_summary.l_1.nats == odd_summary.l_k.nats == -np.inf
    assert odd_summary.llr[1].nats == np.inf and odd_summary.l_1.nats_standard_error is None
    active = [latent.active_units for latent in odd_summary.latents]
    assert sum(active) > 0  # the others still say which units are in use


def test_a_k_out_of_range_is_refused(model, tmp_path):
    with pytest.raises(EvaluationError, match=r"k: expected an integer in 0\.\.1, got 2"):
        Evaluator(model, ScoringConfig(iw_samples=1, ks=(2,)), 8, tmp_path)


def test_different_weights_images_and_settings_have_different_files(model, tmp_path):
    images = random_images(model.spec, 4)

    def path(iw_samples=2, images=images):
        settings = ScoringConfig(iw_samples=iw_samples)
        return Evaluator(model, settings, 8, tmp_path).path("a test", images)

    variable = model.trainable_variables[0]
    value = variable.numpy()
    paths = {path(), path(3), path(images=1 - images)}
    variable.assign(value + 1)
    paths.add(path())
    variable.assign(value)
    assert len(paths) == 4 and path() in paths


def test_the_command_prints_and_writes_the_scores(trained, tmp_path):
    scores = tmp_path / "scores.csv"
    result = _evaluate(trained, *EVALUATE, "--k=0,2", f"--scores={scores}")
    assert result.returncode == 0, result.stderr[-3000:]
    printed = last_json(result.stdout)
    for text in ("L_1 ", "L_20", "L^{>2}", "LLR^{>2}", "nats", "bits/dim", "active units", "z2_td"):
        assert text in result.stdout
    lines = scores.read_text().splitlines()
    columns = lines[0].split(",")
    table = np.array([line.split(",") for line in lines[1:]], float)
    assert table.shape == (30, len(columns))
    values = dict(zip(columns, table.T, strict=True))
    np.testing.assert_array_equal(values["example"], np.arange(30))
    assert values["L_K_nats"].mean() == pytest.approx(printed["l_k_nats"])
    assert values["L_1_nats"].mean() == pytest.approx(printed["l_1_nats"])
    assert printed["l_1_nats"] < printed["l_k_nats"]
    (written,) = (trained / "evaluations").glob("*.json")
    summary = json.loads(written.read_text())
    assert summary["l_k"]["nats"] == printed["l_k_nats"] and summary["settings"]["ks"] == [0, 2]
    assert summary["weights_step"] in (20, 40)
    # The second call reads the stored scores: a new computation would have written them anew.
    stored = {path: path.stat().st_mtime_ns for path in (trained / "evaluations").glob("*.npz")}
    npz = tmp_path / "scores.npz"
    again = _evaluate(trained, *EVALUATE, "--k=0,2", f"--scores={npz}", "--max_rows=7")
    assert again.stdout == result.stdout
    assert len(stored) == 2 and all(p.stat().st_mtime_ns == then for p, then in stored.items())
    with np.load(npz) as file:
        np.testing.assert_array_equal(file["L_above_2_nats"], values["L_above_2_nats"])


def test_the_scores_do_not_depend_on_the_number_of_devices(trained, tmp_path):
    """Three devices share chunks of 16 images unevenly, and the last chunk is not full."""
    scores = []
    for devices in (1, 3):
        file, args = tmp_path / f"{devices}.npz", ("--num_examples=50", "--iw_samples=4", "--k=0,2")
        result = _evaluate(
            trained, *args, f"--logical_devices={devices}", f"--scores={file}", "--max_rows=32"
        )
        assert result.returncode == 0, result.stderr[-3000:]
        shutil.rmtree(trained / "evaluations")
        with np.load(file) as arrays:
            scores.append(dict(arrays))
    one, three = scores
    assert len(one["L_K_nats"]) == 50
    for name in one:
        np.testing.assert_allclose(one[name], three[name], rtol=1e-5, atol=1e-4, err_msg=name)


def test_another_data_set_can_be_evaluated(trained):
    result = _evaluate(trained, *EVALUATE, "--dataset=letters_2k", "--iw_samples=1")
    assert result.returncode == 0, result.stderr[-3000:]
    assert "letters_2k test, 30 images" in result.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--k=7",), "evaluate: --k: expected an integer in 0..2, got 7"),
        (("--dataset=mnist",), "evaluate: --dataset: expected one of ag_news_subset, "),
        (("--num_examples=2000",), "--num_examples: expected at most the 1000 images of mnist_10k"),
    ],
)
def test_what_cannot_be_evaluated_gives_one_message(finished, args, message):
    result = _evaluate(finished[0], "--iw_samples=1", *args)
    assert result.returncode != 0
    assert message in result.stderr and "Traceback" not in result.stderr
