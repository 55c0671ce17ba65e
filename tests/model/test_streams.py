"""The streams of noise: which a model asks for, and that no two of them are the same."""

import dataclasses
import zlib

import numpy as np
import pytest
from conftest import random_images

import biva_tf
from biva_tf.model import architectures, plans
from biva_tf.model.noise import Noise, SeededNoise, posterior_stream, prior_stream
from biva_tf.model.spec import Branch, Classes, Text


class RecordedNoise(Noise):
    """Seeded noise that notes which streams it was asked for."""

    def __init__(self):
        self._noise, self.streams = SeededNoise(0), []

    def normal(self, stream, shape):
        self.streams.append(stream)
        return self._noise.normal(stream, shape)

    def uniform(self, stream, shape):
        self.streams.append(stream)
        return self._noise.uniform(stream, shape)

    def dropout_mask(self, stream, rate, shape):
        self.streams.append(stream)
        return self._noise.dropout_mask(stream, rate, shape)


def _streams(spec):
    """All streams that passes of a spec with dropout can ask for."""
    top = spec.num_levels - 1
    layers = ["deterministic_top"]
    for i, stage in enumerate(spec.stages):
        for j in range(len(stage.blocks)):
            layers += [f"deterministic_bottom_up_{i}_{j}", f"deterministic_generative_{i}_{j}"]
            if Branch.TOP_DOWN in spec.branches:
                layers.append(f"deterministic_top_down_{i}_{j}")
        if i < top and Branch.TOP_DOWN in spec.branches:
            layers.append(f"qz_top_down_pz_merge_{i + 1}")
    if spec.classes is not None:
        layers.append("qy")
    of_latents = [f(z.name) for z in spec.latents for f in (posterior_stream, prior_stream)]
    of_classes = [] if spec.classes is None else ["y/prior"]
    of_words = ["x/word_dropout"] if isinstance(spec.likelihood, Text) else []
    of_layers = [f"{layer}/dropout" for layer in layers]
    return ["x/likelihood", *of_latents, *of_layers, *of_classes, *of_words]


@pytest.mark.parametrize("name", ["tiny_conv", "tiny_text", "tiny_conv_vae"])
def test_a_model_asks_for_each_stream_once_per_pass(name):
    text = name == "tiny_text"
    spec = dataclasses.replace(
        architectures.get(name),
        dropout_inference=0.2,
        dropout_generative=0.2,
        classes=None if text else Classes(3),
    )
    model = biva_tf.build(spec)
    training, sampling, image = (RecordedNoise() for _ in range(3))
    sentences = np.array([[3, 2, 1, 0, 0]] * 2, np.float32)[..., np.newaxis, np.newaxis]
    images = sentences if text else random_images(spec, 2)
    model(images, noise=training, training=True)
    output = model.top_down(None, plans.prior(spec), sampling, rows=2)
    model.likelihood.image(output.px, image)
    asked = [*training.streams, *sampling.streams, *image.streams]
    assert len(asked) == len(set(asked))
    # The picture of a Bernoulli is its mean, without a draw.
    assert set(_streams(spec)) - {"x/likelihood"} == set(asked) - {"x/likelihood"}


def test_the_streams_of_a_model_have_different_hashes():
    bivas = [name for name in architectures.ARCHITECTURES if "lvae" not in name]
    ablations = [name for biva in bivas for name in architectures.ablations(biva)]
    for name in (*architectures.ARCHITECTURES, *ablations):
        spec = architectures.get(name)
        of_a_mixture = f"{prior_stream(spec.latents[-1].name)}/component"
        streams = [*_streams(spec), of_a_mixture]
        assert len({zlib.crc32(stream.encode()) for stream in streams}) == len(streams), name
