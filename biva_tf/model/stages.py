"""What a stage must provide, and the stages of a model.

`make` makes them from a spec. Stages of one's own derive from those of `bottom_up` and `top_down`,
or provide what `BottomUpStage` and `TopDownStageLike` list. A `biva_tf.StagesKind` makes them; most
often by `compose`:

    class LadderStage(TopDownStage):
        make_posterior = PrecisionWeighted

    @biva_tf.register("ladder")
    @dataclasses.dataclass(frozen=True)
    class Ladder(biva_tf.StagesKind):
        def make(self, spec):
            return stages.compose(spec, top_down=LadderStage)

WORKSPACE.md has the whole of this one ("How to add"). A stage has no Keras config of its own: that
of its network has the spec, from which all stages are made.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from biva_tf.model import bottom_up
from biva_tf.model.blocks import MapShape
from biva_tf.model.bottom_up import BottomUpLevel, Maps
from biva_tf.model.chains import Chain
from biva_tf.model.noise import Noise
from biva_tf.model.spec import LatentSpec, ModelSpec
from biva_tf.model.top_down import LatentLayer, TopDownStage


class BottomUpStage(Protocol):
    """A bottom-up stage, a Keras layer.

    Attributes:
      level: i.
      latent: the latent of the level that the bottom-up pass draws; None if it draws none here.
      in_shape: the shape of what it reads, per example.
      shapes: the shapes of bu_i and td_i.
      maps: its chains; `TopDownStage` goes through the sizes of the blocks of `maps.bu` in reverse.

    At the top it has `posterior`, too, a `posteriors.TopPosterior`, which the top prior reads.
    """

    level: int
    latent: LatentSpec | None
    in_shape: tuple[int, ...]
    shapes: Maps
    maps: Any

    def __call__(
        self, x: tf.Tensor, *, below: Maps, noise: Noise, training: bool = False
    ) -> BottomUpLevel:
        """bu_i and td_i, and the posterior of `latent`; see `bottom_up.DeterministicStage`."""


class TopDownStageLike(Protocol):
    """A top-down stage, a Keras layer.

    Attributes:
      level: i.
      latents: the layers of the latents of the level, in the order of `ModelSpec.latents`.
      latent_shape: the shape of each, per example.
      in_shape: the shape of all of them and the class, per example.
      reads_class: whether the stage reads y.
      d: the chain to d_i; the stage below reads the maps of its blocks.
      out_shape: the shape of d_i.
      generative_parts: the layers that sampling from the prior uses.
    """

    level: int
    latents: Sequence[LatentLayer]
    latent_shape: tuple[int, ...]
    in_shape: tuple[int, ...]
    reads_class: bool
    d: Chain
    out_shape: MapShape
    generative_parts: Sequence[Any]

    def __call__(
        self,
        z: Sequence[tf.Tensor],
        y: tf.Tensor | None = None,
        above: Sequence[tf.Tensor] | None = None,
        *,
        noise: Noise,
        training: bool = False,
    ) -> list[tf.Tensor]:
        """The maps of the blocks, the last one d_i; see `top_down.TopDownStage`."""


class Stages(NamedTuple):
    """The stages of a model: the bottom-up ones from level 1, the top-down ones from level L."""

    bottom_up: Sequence[BottomUpStage]
    top_down: Sequence[TopDownStageLike]


def make(spec: ModelSpec) -> Stages:
    """The stages that a spec asks for."""
    return compose(spec) if spec.stages_kind is None else spec.stages_kind.make(spec)


def compose(
    spec: ModelSpec,
    bottom_up: Callable[..., Any] = bottom_up.make_stage,
    top_down: Callable[..., Any] = TopDownStage,
) -> Stages:
    """The stages of all levels.

    Args:
      spec: the model's spec.
      bottom_up: makes a bottom-up stage from the spec, the level and the shapes of bu_{i-1} and
        td_{i-1}.
      top_down: makes a top-down stage from the spec, the level, the bottom-up stage of the level
        and the top-down stage above, None at the top.
    """
    rising, shapes = [], Maps(spec.input_shape, spec.input_shape)
    for level in range(1, spec.num_levels + 1):
        stage = bottom_up(spec, level, shapes)
        stage.build((None, *stage.in_shape))
        rising.append(stage)
        shapes = stage.shapes
    falling, above = [], None
    for below in reversed(rising):
        above = top_down(spec, below.level, below, above)
        above.build((None, *above.in_shape))
        falling.append(above)
    return Stages(rising, falling)
