"""Points of a density as training data and as splits."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from biva_tf.data import pipeline, points, sources
from biva_tf.data.densities import DENSITIES
from biva_tf.data.points import EndlessPoints
from biva_tf.model import architectures
from biva_tf.model.spec import Bernoulli

CONFIG = pipeline.DataConfig("potential_3", sources.Location(Path("nowhere")), "none", 127, 1000)


def _load(seed=0):
    return pipeline.load(CONFIG, seed)


def _in_common(one, two):
    """The points that two batches have in common."""
    return {point.tobytes() for point in one} & {point.tobytes() for point in two}


@pytest.mark.parametrize("name", DENSITIES)
def test_a_point_is_a_function_of_seed_step_and_row(name):
    data = EndlessPoints(DENSITIES[name], seed=5)
    batch = data.batch(7, 32).images
    assert batch.shape == (32, 1, 1, 2) and batch.dtype == np.float32
    np.testing.assert_array_equal(data.batch(7, 8).images, batch[:8])
    for other in (data.batch(8, 32), EndlessPoints(DENSITIES[name], seed=6).batch(7, 32)):
        assert not _in_common(other.images, batch)


@pytest.mark.parametrize("hosts", [1, 2])
def test_the_parts_of_all_hosts_join_to_the_batch_of_points(hosts):
    data, parts = _load().train, 4
    count = parts // hosts
    streams = [
        list(data.batches(5, 7, 32, host * count, count, parts).as_numpy_iterator())
        for host in range(hosts)
    ]
    for i, step in enumerate((5, 6)):
        read = [part for stream in streams for part in stream[i * count : (i + 1) * count]]
        joined = np.concatenate([part.images for part in read])
        np.testing.assert_array_equal(joined, data.batch(step, 32).images)


def test_the_splits_are_the_same_in_every_run_and_not_trained_on():
    one, two = _load(seed=0), _load(seed=1)
    assert (len(one.validation), len(one.test)) == (1000, 10_000)
    for name in ("validation", "test"):
        split = getattr(one, name)
        np.testing.assert_array_equal(split[:], getattr(two, name)[:])
        np.testing.assert_array_equal(split[:9], pipeline.evaluation_images(CONFIG, name)[:9])
        np.testing.assert_array_equal(split.first(9)[:], split[:9])
    assert not _in_common(one.validation[:], one.test[:])
    for seed in range(4):  # a split has a seed too
        assert not _in_common(_load(seed).train.batch(0, 1000).images, one.test[:])


def test_every_density_is_a_data_set():
    assert set(DENSITIES) <= set(pipeline.names())
    info = pipeline.info("spirals")
    assert info.image_shape == points.SHAPE and info.train is None and info.binarize == "none"


@pytest.mark.parametrize(
    "architecture,dataset,message",
    [
        ("density_2d", "mnist_10k", r"has images of shape \(28, 28, 1\), .* expects \(1, 1, 2\)"),
        (
            "tiny_dense",
            "potential_3",
            r"shape \(1, 1, 2\), .* expects \(8, 8, 1\); .*architecture=density_2d$",
        ),
    ],
)
def test_a_model_of_images_does_not_read_points(architecture, dataset, message):
    config = (
        CONFIG
        if dataset == CONFIG.dataset
        else pipeline.DataConfig(dataset, CONFIG.location, "threshold", 127, 1000)
    )
    with pytest.raises(sources.DataError, match=message):
        spec = architectures.get(architecture)
        pipeline.check_fits(spec, pipeline.evaluation_images(config, "test"), dataset)


def test_a_likelihood_of_images_does_not_read_real_numbers():
    spec = dataclasses.replace(architectures.get("density_2d"), likelihood=Bernoulli())
    message = r"potential_3 has real numbers, .* bernoulli, expects values in \[0, 1\]"
    with pytest.raises(sources.DataError, match=message):
        pipeline.check_fits(spec, _load().test, "potential_3")
