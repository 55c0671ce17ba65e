import numpy as np
import pytest
from conftest import perturbed, random_images

from biva_tf.inference import objectives
from biva_tf.inference.scoring import Scorer
from biva_tf.model import plans
from biva_tf.model.noise import SeededNoise
from biva_tf.nn import weight_norm


def _one_pass_per_sample(model, images, samples, k, seed, below=plans.prior_up_to, how="sampled"):
    """(Log-weights [images, samples], KLs), by one pass of the whole model per sample."""
    passes = []
    for sample in range(samples):
        noise = SeededNoise(np.array([seed, 0])).fold(sample)
        output = model(images, plan=below(model.spec, k), noise=noise)
        passes.append(objectives.terms(output, images, how))
    log_weights = np.stack([np.float64(t.bound) for t in passes], axis=1)
    return log_weights, np.stack([t.kl for t in passes], axis=1)


@pytest.mark.parametrize("k", [0, 1])
def test_score_agrees_with_one_pass_per_sample(model, k):
    images = random_images(model.spec, 3)
    log_weights, kl = _one_pass_per_sample(model, images, 4, k, seed=5)
    top = log_weights.max(1)
    bound = np.log(np.mean(np.exp(log_weights - top[:, None]), axis=1)) + top
    score = model.score(images, num_importance_samples=4, k=k, seed=5)
    np.testing.assert_allclose(score.bound_nats, bound, rtol=1e-5)
    np.testing.assert_allclose(score.elbo_nats, log_weights.mean(1), rtol=1e-5)
    dims = np.prod(model.spec.image_shape)
    np.testing.assert_allclose(score.bits_per_dim, -score.bound_nats / dims / np.log(2), rtol=1e-5)
    np.testing.assert_allclose(score.kl_nats, kl.mean(axis=1), rtol=1e-3, atol=1e-3)
    weights = np.exp(log_weights - top[:, None])
    ess = weights.sum(1) ** 2 / (weights**2).sum(1)
    np.testing.assert_allclose(score.effective_sample_size, ess, rtol=5e-2)
    assert score.latent_names == tuple(z.name for z in model.spec.latents)


def test_the_kl_in_closed_form_is_a_mean_over_the_samples_beside_the_scores(model):
    images = random_images(model.spec, 3)
    _, expected = _one_pass_per_sample(model, images, 4, 0, seed=5, how="analytic")
    batches = []
    for closed in (True, False):
        scorer = Scorer(model, num_importance_samples=4, with_shifts=True, with_closed_kl=closed)
        batches += scorer.batches(images, seed=5)
    with_kl, without = batches
    closed = np.stack([use.kl[0] for use in with_kl.shifts], axis=1)
    np.testing.assert_allclose(closed, expected.mean(axis=1), rtol=1e-4)
    for scores, others in zip(with_kl.by_k[0], without.by_k[0], strict=True):
        np.testing.assert_allclose(scores, others, rtol=1e-6)


def test_batches_have_the_weights_of_the_first_one_and_begin_anywhere():
    model = perturbed("tiny_dense")
    scorer, images = Scorer(model, max_rows=4), random_images(model.spec, 9)
    whole = list(scorer.batches(images, seed=1, at_once=4))
    assert [(batch.start, batch.stop) for batch in whole] == [(0, 4), (4, 8), (8, 9)]
    under_way = scorer.batches(images, seed=1, at_once=4, start=4)
    again = [next(under_way)]
    for layer in weight_norm.layers_of([model]):
        layer.v.assign(2.0 - layer.v)
    again += under_way
    for batch, other in zip(again, whole[1:], strict=True):
        assert batch.start == other.start
        np.testing.assert_array_equal(batch.by_k[0].bound, other.by_k[0].bound)
    changed = next(scorer.batches(images, seed=1, at_once=4))
    assert np.all(changed.by_k[0].bound != whole[0].by_k[0].bound)


def test_below_mode_gives_the_levels_up_to_k_their_prior_modes(model):
    images = random_images(model.spec, 3)
    log_weights, _ = _one_pass_per_sample(model, images, 2, 1, 3, plans.prior_mode_up_to)
    score = model.score(images, num_importance_samples=2, k=1, below="mode", seed=3)
    np.testing.assert_allclose(score.elbo_nats, log_weights.mean(1), rtol=1e-5)


@pytest.mark.parametrize("k", [0, 1])
def test_scores_do_not_depend_on_the_size_of_chunks(model, k):
    images = random_images(model.spec, 3)
    whole = model.score(images, num_importance_samples=7, k=k, seed=1)
    for max_rows in (1, 4, 10):
        parts = model.score(images, num_importance_samples=7, k=k, seed=1, max_rows=max_rows)
        np.testing.assert_allclose(parts.bound_nats, whole.bound_nats, rtol=1e-5)
        np.testing.assert_allclose(parts.kl_nats, whole.kl_nats, rtol=1e-3, atol=1e-4)


def test_l_above_0_is_the_elbo_bit_for_bit(model):
    """The passes are the same whether L^{>0} is computed alone or together with others."""
    from biva_tf.inference.scoring import scores

    images = random_images(model.spec, 4)
    alone = model.score(images, num_importance_samples=3, seed=2)
    beside = scores(model, images, (1, 0), num_importance_samples=3, seed=2)[1]
    np.testing.assert_array_equal(alone.elbo_nats, beside.elbo_nats)
    elbo = alone.reconstruction_nats - alone.kl_nats.sum(axis=1)
    np.testing.assert_allclose(alone.elbo_nats, elbo, rtol=1e-12)


def test_the_bound_is_above_the_mean_elbo_of_its_samples(model):
    score = model.score(random_images(model.spec, 8), num_importance_samples=32, seed=2)
    assert np.all(score.bound_nats > score.elbo_nats)
    assert np.all((score.effective_sample_size >= 1) & (score.effective_sample_size <= 32))


@pytest.mark.parametrize("architecture", ["tiny_dense", "tiny_dense_lvae", "tiny_dense_vae"])
def test_what_all_samples_share_is_computed_once_per_image(architecture, monkeypatch):
    """It is called before the loop over the samples, and traced once for any number of them."""
    model = perturbed(architecture)
    rows = []
    first = model.bottom_up_stages[0]
    plain = first.call

    def counted(x, **others):
        rows.append(x.shape[0])
        return plain(x, **others)

    monkeypatch.setattr(first, "call", counted)
    model.score(random_images(model.spec, 2), num_importance_samples=9, max_rows=8)
    assert rows == [2]  # traced once, on a batch of images and not of samples


def test_score_refuses_wrong_images_and_settings(model):
    spec = model.spec
    with pytest.raises(ValueError, match=r"images: expected shape \[n >= 1"):
        model.score(np.zeros((2, 3, 3, 1)))
    with pytest.raises(ValueError, match=r"images: expected shape \[n >= 1"):
        model.score(np.zeros((0, *spec.image_shape)))
    with pytest.raises(ValueError, match=r"images: expected values in \[0, 1\]"):
        model.score(np.full((1, *spec.image_shape), 255.0))
    with pytest.raises(ValueError, match="num_importance_samples"):
        model.score(random_images(spec), num_importance_samples=0)
    with pytest.raises(ValueError, match="k: expected an integer"):
        model.score(random_images(spec), k=9)
    with pytest.raises(ValueError, match="below: expected one of sample, mode, got 'x'"):
        model.score(random_images(spec), below="x")
