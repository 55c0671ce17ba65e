import numpy as np
import pytest
from conftest import last_json, run

from biva_tf.data import images
from tools.experiments import binarization


def test_the_entropy_is_that_of_the_draws_which_the_model_reads():
    """Against the share of ones in many draws of each pixel."""
    pixels = np.array([0, 51, 128, 255], np.uint8).reshape(1, 2, 2, 1)
    many = images.Images(np.repeat(pixels, 40_000, axis=0), "bernoulli", seed=0)[:]
    share = many.mean(axis=0)[many.var(axis=0) > 0]
    expected = -(share * np.log(share) + (1 - share) * np.log(1 - share)).sum()
    assert binarization.draw_entropy(pixels)[0] == pytest.approx(expected, abs=0.01)


def test_black_and_white_images_have_no_entropy():
    pixels = np.array([[0, 255], [255, 0]], np.uint8).reshape(1, 2, 2, 1)
    assert binarization.draw_entropy(pixels)[0] == 0


def test_the_command_prints_the_bound_and_the_shares():
    result = run(
        "-m", "tools.experiments.binarization", "--dataset=mnist_10k", "--thresholds=127,254"
    )
    assert result.returncode == 0, result.stderr
    found = last_json(result.stdout)
    assert found["images"] == 1000 and found["white"]["127"] > found["white"]["254"] > 0
    assert f"{found['entropy_nats']:.2f} ± " in result.stdout
