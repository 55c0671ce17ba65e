"""The named architectures: functions without arguments, each returning a `ModelSpec`.

Those that are compared with no result of the paper or of the original have a ceiling of the
log-variances: CEILING, since it is not known before a training how large they get. In the trained
models that ship, the largest is 6.1.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from biva_tf.errors import Setting, nearest
from biva_tf.files import JsonError, read_json
from biva_tf.model import user_code
from biva_tf.model.spec import (
    BlockSpec,
    Classes,
    ConvLatent,
    DenseLatent,
    Gaussian,
    LogisticMixture,
    ModelSpec,
    SpecError,
    StageSpec,
    Text,
    from_plain,
)

CEILING = 8.0  # a standard deviation of 55


def _stages(filters: int, latents: list, kernels: list[int], halvings: set[int], depth: int = 3):
    """Stages of `depth` square blocks; the last block of each stage in `halvings` has stride 2."""
    stages = []
    for level, (latent, k) in enumerate(zip(latents, kernels, strict=True), start=1):
        blocks = [BlockSpec(filters, (k, k)) for _ in range(depth)]
        if level in halvings:
            blocks[-1] = BlockSpec(filters, (k, k), (2, 2))
        stages.append(StageSpec(tuple(blocks), latent))
    return tuple(stages)


def mnist_l6() -> ModelSpec:
    """The original's model of 28x28 binary images: L = 6, 31,550,946 parameters."""
    return ModelSpec(
        image_shape=(28, 28, 1),
        stages=_stages(
            filters=64,
            latents=[DenseLatent(n) for n in (48, 40, 32, 24, 16, 8)],
            kernels=[5] + [3] * 5,
            halvings={1, 6},
        ),
        dropout_inference=0.5,
        dropout_generative=0.5,
    )


def _pyramid(
    image_shape: tuple[int, int, int], filters: int, groups: list[tuple[int, list[int]]]
) -> ModelSpec:
    """A model of colour images with latents on maps that halve from group to group.

    A group is a kernel size and the channels of its latents. Map sizes fall where the original's of
    CIFAR-10 do: after stage 1, before the first latent of each further group, at the top.
    """
    latents = [ConvLatent(n, (kernel, kernel)) for kernel, channels in groups for n in channels]
    sizes = [len(channels) for _, channels in groups]
    return ModelSpec(
        image_shape=image_shape,
        stages=_stages(
            filters=filters,
            latents=latents,
            kernels=[5] + [3] * (len(latents) - 1),
            halvings={1 + sum(sizes[:i]) for i in range(len(sizes))},
        ),
        likelihood=LogisticMixture(),
        dropout_inference=0.2,
    )


def _cifar10(maps_16: list[int], maps_8: list[int], map_4: int) -> ModelSpec:
    """Latents of these channels on 16x16, 8x8 and 4x4 maps, with kernels as large as the maps."""
    return _pyramid((32, 32, 3), 96, [(16, maps_16), (8, maps_8), (4, [map_4])])


def cifar10_l15() -> ModelSpec:
    """The original's model of CIFAR-10: L = 15, 102,948,560 parameters (paper, Table 1)."""
    return _cifar10([38, 36, 34, 32, 30, 28, 26, 24, 22, 20], [18, 16, 14, 12], 10)


def cifar10_l10() -> ModelSpec:
    """A model of CIFAR-10 with L = 10.

    The paper gives its depth and its result, L_1 <= 3.17 bits/dim (Table 4). Neither the
    main text nor the original's code gives its layer sizes, so these are our choice: the L = 15
    pattern with five stages left out, four of the ten on 16x16 maps and one of the four on 8x8
    maps; filters, kernels, dropout and the first latents of each map size are those of L = 15.
    """
    return _cifar10([38, 36, 34, 32, 30, 28], [18, 16, 14], 10)


def celeba64_l20() -> ModelSpec:
    """A model of 64x64 faces with L = 20 (paper, section 4.3: L_1 <= 2.48 bits/dim).

    The paper gives its depth and its result. The layer sizes stand in an appendix that we could not
    obtain, so these are our choice: the pattern of CIFAR-10, the first stage halving 64 to 32; 8, 6
    and 5 levels on 32x32, 16x16 and 8x8 maps and the top on 4x4; channels falling by 2 within a map
    size; kernels as large as the maps but for the 32x32 ones, whose are 8x8; 96 filters.
    """
    return _pyramid(
        (64, 64, 3),
        96,
        [
            (8, list(range(22, 6, -2))),
            (16, list(range(30, 18, -2))),
            (8, list(range(18, 8, -2))),
            (4, [10]),
        ],
    )


def mnist_small() -> ModelSpec:
    """A small BIVA of 28x28 binary images: L = 3, 16 filters, no dropout. Quick to measure with."""
    return ModelSpec(
        image_shape=(28, 28, 1),
        stages=_stages(16, [DenseLatent(16), DenseLatent(8), DenseLatent(4)], [5, 3, 3], {1, 3}),
        log_variance_ceiling=CEILING,
    )


def mnist_sample() -> ModelSpec:
    """The model of `configs/mnist_sample.flags`: readable digits in minutes on two cores.

    L = 3, and stride 2 already in the first block, so that most of the work is on 14x14 maps.
    """
    halve, keep = BlockSpec(24, (5, 5), (2, 2)), BlockSpec(24, (3, 3))
    return ModelSpec(
        image_shape=(28, 28, 1),
        stages=(
            StageSpec((halve, keep), DenseLatent(24)),
            StageSpec((keep, keep), DenseLatent(16)),
            StageSpec((dataclasses.replace(keep, stride=(2, 2)), keep), DenseLatent(8)),
        ),
        log_variance_ceiling=CEILING,
    )


def small_l5() -> ModelSpec:
    """The model of the trained binary models that ship: 28x28 binary images, L = 5, for two cores.

    z1 and z2 are inferred from 14x14 maps, z3 and z4 from 7x7, z5 from 4x4, all with few filters.
    Of the models that `tools.experiments.shapes` compares, it and the same without level 4 reach
    the best bound in a given time.
    """
    block = BlockSpec
    return ModelSpec(
        image_shape=(28, 28, 1),
        stages=(
            StageSpec((block(16, (5, 5), (2, 2)), block(16, (3, 3))), DenseLatent(24)),
            StageSpec((block(16, (3, 3)), block(16, (3, 3))), DenseLatent(16)),
            StageSpec((block(24, (3, 3)), block(24, (3, 3), (2, 2))), DenseLatent(16)),
            StageSpec((block(32, (3, 3)), block(32, (3, 3))), DenseLatent(12)),
            StageSpec((block(32, (3, 3)), block(32, (3, 3), (2, 2))), DenseLatent(8)),
        ),
        log_variance_ceiling=CEILING,
    )


def small_l5_grey() -> ModelSpec:
    """A model of 28x28 grey images of 8 bits: L = 5, for one core and a small file.

    The map sizes are those of `small_l5`. Its latents but the top one are maps, since grey values
    hold more local detail than binary ones, and since such latents need few weights.
    """
    halve, keep, low = BlockSpec(24, (5, 5), (2, 2)), BlockSpec(24, (3, 3)), ConvLatent(4, (3, 3))
    halve_again = dataclasses.replace(keep, stride=(2, 2))
    return ModelSpec(
        image_shape=(28, 28, 1),
        stages=(
            StageSpec((halve, keep), low),
            StageSpec((keep, keep), low),
            StageSpec((keep, halve_again), low),
            StageSpec((keep, keep), low),
            StageSpec((keep, halve_again), DenseLatent(16)),
        ),
        likelihood=LogisticMixture(5),
        log_variance_ceiling=CEILING,
    )


def mnist_l6_semi() -> ModelSpec:
    """`mnist_l6` with ten classes, for semi-supervised learning (paper, Table 3).

    Where y enters, and the classifier, are our choice: they stand in an appendix of the paper
    that we could not obtain.
    """
    return dataclasses.replace(mnist_l6(), classes=Classes(10, every_level=True))


def small_semi() -> ModelSpec:
    """A small model with ten classes: 28x28 binary images, for two cores."""
    return dataclasses.replace(small_l5(), classes=Classes(10, every_level=True))


def density_2d() -> ModelSpec:
    """A model of points of the plane, as 1x1 maps of two channels, so that all layers are dense.

    L = 2. Each latent has one unit: with two, a single latent holds the whole point while the KL
    weight is small, and the other one stays unused.
    """
    block = BlockSpec(64, (1, 1))
    return ModelSpec(
        image_shape=(1, 1, 2),
        stages=(StageSpec((block,), DenseLatent(1)), StageSpec((block,), DenseLatent(1))),
        likelihood=Gaussian(),
        log_variance="free",
        log_variance_ceiling=CEILING,
    )


def text_small() -> ModelSpec:
    """A model of sentences of up to 20 words out of 4,000, for one core: L = 3.

    Convolutions along the sentence; z1 is inferred from 11 places of it, z2 from 6, z3 from 3.
    """
    keep, halve = BlockSpec(64, (3, 1)), BlockSpec(64, (3, 1), (2, 1))
    return ModelSpec(
        image_shape=(21, 1, 1),
        stages=(
            StageSpec((keep, halve), DenseLatent(32)),
            StageSpec((keep, halve), DenseLatent(24)),
            StageSpec((keep, halve), DenseLatent(16)),
        ),
        likelihood=Text(4003),
        log_variance="free",
        log_variance_ceiling=CEILING,
    )


def tiny_text() -> ModelSpec:
    """The smallest model of sentences: 5 tokens of 9 ids, L = 2. For tests."""
    keep, halve = BlockSpec(4, (3, 1)), BlockSpec(4, (3, 1), (2, 1))
    return ModelSpec(
        image_shape=(5, 1, 1),
        stages=(StageSpec((halve,), DenseLatent(3)), StageSpec((keep,), DenseLatent(2))),
        likelihood=Text(9, embedding_units=4, decoder_units=5, feature_units=3),
    )


def tiny_dense() -> ModelSpec:
    """The smallest dense model: 8x8 binary images, L = 2. For tests."""
    return ModelSpec(
        image_shape=(8, 8, 1),
        stages=_stages(4, [DenseLatent(4), DenseLatent(3)], [3, 3], {1}, 2),
    )


def tiny_conv() -> ModelSpec:
    """The smallest model of colour images: 8x8x3, a convolutional and a dense latent. For tests."""
    return ModelSpec(
        image_shape=(8, 8, 3),
        stages=_stages(4, [ConvLatent(2, (4, 4)), DenseLatent(3)], [3, 3], {1, 2}, 2),
        likelihood=LogisticMixture(3),
    )


def lvae(spec: ModelSpec) -> ModelSpec:
    """The LVAE of a BIVA: no bottom-up latents, no skips (paper, section 4.1).

    "The exact same architecture": both deterministic chains of the bottom-up pass stay; where a
    bottom-up latent was, the chain goes on from its own map.
    """
    return dataclasses.replace(spec, inference="top_down", generative_skips=False)


def lvae_plus(spec: ModelSpec) -> ModelSpec:
    """The LVAE+ of a BIVA: no bottom-up latents (paper, section 4.1)."""
    return dataclasses.replace(spec, inference="top_down")


def vae(spec: ModelSpec) -> ModelSpec:
    """The VAE of a BIVA: inference bottom-up alone, p(z_i|z_{i+1}), no skips (paper, section 2)."""
    return dataclasses.replace(spec, inference="bottom_up", generative_skips=False)


def cifar10_l29_lvae_plus() -> ModelSpec:
    """An LVAE+ of CIFAR-10 as deep as the inference of BIVA: L = 29 (paper, Table 1).

    The paper gives its depth, 2L-1 for L = 15, and its size, 119.71M parameters. Our choice, the
    nearest found to that size: channels fall from 38 to 10 in steps of 1 where those of
    `cifar10_l15` fall in steps of 2, ten levels are on 16x16 maps as there, the rest on 8x8.
    """
    return lvae_plus(_cifar10(list(range(38, 28, -1)), list(range(28, 10, -1)), 10))


_BIVA = (
    mnist_l6,
    cifar10_l10,
    cifar10_l15,
    celeba64_l20,
    mnist_small,
    mnist_sample,
    small_l5,
    small_l5_grey,
    mnist_l6_semi,
    small_semi,
    density_2d,
    text_small,
    tiny_text,
    tiny_dense,
    tiny_conv,
)
_ABLATIONS = (lvae, lvae_plus, vae)

ARCHITECTURES: dict[str, Callable[[], ModelSpec]] = {f.__name__: f for f in _BIVA}
ARCHITECTURES["cifar10_l29_lvae_plus"] = cifar10_l29_lvae_plus


def ablations(name: str) -> list[str]:
    """The names of the ablations of a BIVA: NAME_lvae, NAME_lvae_plus, NAME_vae."""
    return [f"{name}_{ablation.__name__}" for ablation in _ABLATIONS]


def of_shape(image_shape: tuple[int, ...]) -> list[str]:
    """The names of the architectures for images of this shape; without ablations."""
    return [name for name, spec in ARCHITECTURES.items() if spec().image_shape == image_shape]


def get(name: str) -> ModelSpec:
    """The spec of a named architecture, or of an ablation of it: NAME_lvae, _lvae_plus or _vae.

    Raises:
      SpecError: there is none of that name; the message lists them.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]()
    for biva in _BIVA:
        for ablation in _ABLATIONS:
            if name == f"{biva.__name__}_{ablation.__name__}":
                return ablation(biva())
    known = [*ARCHITECTURES, *(each for biva in _BIVA for each in ablations(biva.__name__))]
    raise SpecError(
        Setting("architecture"),
        f": expected one of {', '.join(ARCHITECTURES)}, or a BIVA among them followed "
        f"by {', '.join('_' + f.__name__ for f in _ABLATIONS)}, got {name!r}{nearest(name, known)}",
    )


def is_name(name_or_path: str) -> bool:
    """Whether this can only be the name of an architecture, not that of a file."""
    return not name_or_path.endswith(".json") and not user_code.is_code(name_or_path)


def read(name_or_path: str) -> ModelSpec:
    """The spec of a named architecture, of a JSON file, or at a place in a user's code.

    Args:
      name_or_path: a name, a path that ends in .json, or FILE.py:NAME or MODULE:NAME
        (`user_code.spec_at`), whose code is run.

    Raises:
      SpecError: there is none of that name, or the file is missing or describes no model.
      CodeError: the code is missing or raises an error.
    """
    if user_code.is_code(name_or_path):
        try:
            return user_code.spec_at(name_or_path)
        except SpecError as e:
            raise SpecError(Setting("architecture"), ": ", e) from None
    if not name_or_path.endswith(".json"):
        return get(name_or_path)
    try:
        return from_plain(read_json(Path(name_or_path).expanduser()))
    except FileNotFoundError as e:
        raise SpecError(
            Setting("architecture", name_or_path), f": cannot read it ({e.strerror})"
        ) from e
    except JsonError as e:
        raise SpecError(Setting("architecture", name_or_path), f": cannot read it: {e}") from e
    except SpecError as e:
        raise SpecError(Setting("architecture", name_or_path), ": ", e) from None
