"""The specification of a model: frozen dataclasses, validated when made, read from and to JSON.

A `ModelSpec` holds everything needed to build a model: the image shape, the likelihood, and one
`StageSpec` per level of the hierarchy, from level 1 (next to the image) to level L (the top).
"""

import dataclasses
import enum
import json
from typing import Any

from biva_tf.files import JsonError, parse_json
from biva_tf.model.block_specs import GATED
from biva_tf.model.block_specs import AttentionSpec as AttentionSpec
from biva_tf.model.block_specs import BlockSpec as BlockSpec
from biva_tf.model.checks import (
    SpecError,
    is_count,
    require,
    require_ceiling,
    require_count,
    require_floor,
    require_pair,
    require_rate,
)
from biva_tf.model.kinds import (
    BlockKind,
    Kind,
    LatentKind,
    LikelihoodKind,
    StagesKind,
    TopPriorKind,
    known,
    of_kind,
    register,
)
from biva_tf.model.kinds import to_plain as kind_to_plain
from biva_tf.model.observations import Bernoulli, LogisticMixture
from biva_tf.model.observations import Gaussian as Gaussian
from biva_tf.model.observations import Text as Text
from biva_tf.model.observed import UNIT, Observation
from biva_tf.model.priors import StandardPrior

LOG_VARIANCES = ("softplus", "free")
INFERENCES = ("bidirectional", "top_down", "bottom_up")
POSTERIORS = ("direct", "residual")

_BINARY, _STANDARD_PRIOR = Bernoulli(), StandardPrior()


@register("dense")
@dataclasses.dataclass(frozen=True)
class DenseLatent(LatentKind):
    """A latent that is a vector of `units` numbers per example."""

    units: int

    def __post_init__(self):
        require_count(self.units, "units")

    def shape(self, in_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """(units,)."""
        return (self.units,)

    def in_tf1(self) -> int:
        """The units."""
        return self.units


@register("conv")
@dataclasses.dataclass(frozen=True)
class ConvLatent(LatentKind):
    """A latent that is a map of `channels`, as large as the features it is inferred from.

    `kernel` is that of the convolutions that give its mean and log-variance.
    """

    channels: int
    kernel: tuple[int, int]

    def __post_init__(self):
        require_count(self.channels, "channels")
        require_pair(self.kernel, "kernel")

    def shape(self, in_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """(height, width, channels)."""
        return (*in_shape[:2], self.channels)

    def in_tf1(self) -> list[Any]:
        """[channels, kernel, stride]."""
        return [self.channels, list(self.kernel), [1, 1]]


@dataclasses.dataclass(frozen=True)
class StageSpec:
    """What both passes have at one level: its latent, and its blocks in bottom-up order."""

    blocks: tuple[BlockKind, ...]
    latent: LatentKind

    def __post_init__(self):
        valid = isinstance(self.blocks, tuple) and len(self.blocks) > 0
        valid = valid and all(isinstance(b, BlockKind) for b in self.blocks)
        require(valid, "blocks", f"a non-empty tuple of {_classes(BlockKind)}", self.blocks)
        valid = isinstance(self.latent, LatentKind)
        require(valid, "latent", f"one of {_classes(LatentKind)}", self.latent)


@dataclasses.dataclass(frozen=True)
class Classes:
    """A class y of each image: p(x|z,y), p(y) uniform, and q(y | x, z_{<L}^bu) (section 4.2).

    Attributes:
      number: the number of classes; labels are 0 ... number - 1.
      every_level: whether y enters the top-down pass at every level. Then the priors and the
        top-down posteriors of the latents below the top depend on it too. Otherwise it enters at
        level 1, and only p(x|z,y) depends on it.
      classifier_units: the units of the hidden layer of q(y | x, z_{<L}^bu).
    """

    number: int
    every_level: bool = False
    classifier_units: int = 128

    def __post_init__(self):
        valid = is_count(self.number) and self.number >= 2
        require(valid, "number", "an integer >= 2", self.number)
        valid = isinstance(self.every_level, bool)
        require(valid, "every_level", "true or false", self.every_level)
        require_count(self.classifier_units, "classifier_units")


class Branch(enum.Enum):
    """Which pass draws a latent; the single latent of the top level is of neither."""

    BOTTOM_UP = "bu"
    TOP_DOWN = "td"
    TOP = "top"


_BRANCHES = {
    "bidirectional": (Branch.BOTTOM_UP, Branch.TOP_DOWN),
    "top_down": (Branch.TOP_DOWN,),
    "bottom_up": (Branch.BOTTOM_UP,),
}


@dataclasses.dataclass(frozen=True)
class LatentSpec:
    """A latent variable and its place: `level` counts from 1 (next to the image) to L (the top)."""

    name: str
    level: int
    branch: Branch


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """A whole model.

    Attributes:
      image_shape: (height, width, channels) of the images.
      stages: one `StageSpec` per level, level 1 first. All have the same number of blocks, since
        block j of a generative stage reads the output of block j of the stage above.
      likelihood: p(x|z), one of `observations`. A sentence has the image_shape (tokens, 1, 1).
      log_variance: how a Gaussian's log-variance comes from the network's output r. "softplus":
        softplus(r) + 1e-8, the original's, so that every variance is at least 1; "free": r itself.
      log_variance_floor: no latent's log-variance falls below it, with "free"; None: they may fall
        to any, and a KL then grows without bound.
      log_variance_ceiling: no latent's log-variance exceeds it (`blocks.under_ceiling`); None: they
        have no bound, as in the original, and the bound of an image unlike the training data may
        then overflow.
      dropout_inference, dropout_generative: dropout rates of the two paths while training.
      inference: "bidirectional": BIVA, two latents per level below the top; "top_down": one, drawn
        on the way down from deterministic bottom-up features (LVAE, paper, section 2); "bottom_up":
        one, drawn on the way up given the latent below alone (VAE, section 2).
      generative_skips: whether block j of a generative stage reads block j of the stage above, so
        that each latent depends on all above, not on the next alone (section 3.2).
      classes: the images' classes, for semi-supervised learning (section 4.2); None for none.
      top_prior: the prior of the top latent, one of `priors`; the original's is N(0, I).
      posterior: what the head of q(z_i^td | x, z_{<i}^bu, z_{>i}) gives. "direct": its mean and
        log-variance, as in the original; "residual": what is added to those of the prior
        p(z_i^td | z_{>i}) (NVAE, Vahdat & Kautz 2020), so that a head that gives 0 gives the prior.
      stages_kind: stages of one's own (`stages`); None: those of the paper.

    Raises:
      SpecError: naming the field that is wrong.
    """

    image_shape: tuple[int, int, int]
    stages: tuple[StageSpec, ...]
    likelihood: LikelihoodKind = _BINARY
    log_variance: str = "softplus"
    log_variance_ceiling: float | None = None
    dropout_inference: float = 0.0
    dropout_generative: float = 0.0
    inference: str = "bidirectional"
    generative_skips: bool = True
    classes: Classes | None = None
    top_prior: TopPriorKind = _STANDARD_PRIOR
    posterior: str = "direct"
    stages_kind: StagesKind | None = None
    log_variance_floor: float | None = None

    def __post_init__(self):
        shape = self.image_shape
        valid = isinstance(shape, tuple) and len(shape) == 3 and all(map(is_count, shape))
        require(valid, "image_shape", "three integers >= 1 (height, width, channels)", shape)
        valid = isinstance(self.stages, tuple) and len(self.stages) > 0
        valid = valid and all(isinstance(s, StageSpec) for s in self.stages)
        require(valid, "stages", "a non-empty tuple of StageSpec", self.stages)
        depth = len(self.stages[0].blocks)
        for i, stage in enumerate(self.stages):
            expected = f"{depth} blocks, as in stages[0]"
            require(len(stage.blocks) == depth, f"stages[{i}].blocks", expected, len(stage.blocks))
        for field, family in (("likelihood", LikelihoodKind), ("top_prior", TopPriorKind)):
            value = getattr(self, field)
            require(isinstance(value, family), field, f"one of {_classes(family)}", value)
        self.likelihood.check_shape(shape)
        for field, options in (
            ("log_variance", LOG_VARIANCES),
            ("inference", INFERENCES),
            ("posterior", POSTERIORS),
        ):
            value = getattr(self, field)
            require(value in options, field, f"one of {', '.join(options)}", value)
        residual, has_td = self.posterior == "residual", Branch.TOP_DOWN in self.branches
        expected = f"direct, since {self.inference} inference has no top-down posteriors"
        require(has_td or not residual, "posterior", expected, self.posterior)
        gaussian = not any(stage.latent.makes_itself() for stage in self.stages)
        expected = "direct, since a latent may be no Gaussian"
        require(gaussian or not residual, "posterior", expected, self.posterior)
        valid = self.stages_kind is None or isinstance(self.stages_kind, StagesKind)
        require(valid, "stages_kind", "a StagesKind or null", self.stages_kind)
        require_ceiling(self.log_variance_ceiling, "log_variance_ceiling")
        require_floor(
            self.log_variance_floor, "log_variance_floor", free=self.log_variance == "free"
        )
        skips = self.generative_skips
        require(isinstance(skips, bool), "generative_skips", "true or false", skips)
        valid = self.classes is None or isinstance(self.classes, Classes)
        require(valid, "classes", "a Classes or null", self.classes)
        for field in ("dropout_inference", "dropout_generative"):
            require_rate(getattr(self, field), field)

    @property
    def num_levels(self) -> int:
        """L, the number of levels."""
        return len(self.stages)

    @property
    def of_images(self) -> bool:
        """Whether x is an image in [0, 1], which files and requests of pictures hold."""
        return self.likelihood.x is Observation.IMAGE and self.likelihood.values == UNIT

    @property
    def parts(self) -> tuple[Kind, ...]:
        """All that has a kind."""
        of_stages = (part for stage in self.stages for part in (*stage.blocks, stage.latent))
        of_stages_kind = () if self.stages_kind is None else (self.stages_kind,)
        return (*of_stages, self.likelihood, self.top_prior, *of_stages_kind)

    @property
    def num_classes(self) -> int:
        """The number of classes; 0 of a model without."""
        return 0 if self.classes is None else self.classes.number

    @property
    def class_shape(self) -> dict[str, tuple[int, ...]]:
        """The shape of a row of y, by its name; nothing of a model without classes."""
        return {} if self.classes is None else {"y": (self.classes.number,)}

    def class_units(self, level: int) -> int:
        """How many numbers of y the stage of a level reads: a one-hot class, or 0."""
        if self.classes is None or not (self.classes.every_level or level == 1):
            return 0
        return self.classes.number

    def require_classes(self) -> Classes:
        """The classes. Raises ValueError if the model has none."""
        if self.classes is None:
            raise ValueError("the model has no classes")
        return self.classes

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape of what the first bottom-up stage reads: the image, or embedded tokens."""
        return self.likelihood.input_shape(self.image_shape)

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The inference paths that draw a latent at every level below the top."""
        return _BRANCHES[self.inference]

    @property
    def latents(self) -> tuple[LatentSpec, ...]:
        """The latents in the paper's order (Figure 2).

        BIVA has 2L-1: z1_bu, z1_td, z2_bu, ..., zL; the others L: z1, z2, ..., zL.
        """
        top, paired = self.num_levels, len(self.branches) > 1
        below = [
            LatentSpec(f"z{level}_{branch.value}" if paired else f"z{level}", level, branch)
            for level in range(1, top)
            for branch in self.branches
        ]
        return (*below, LatentSpec(f"z{top}", top, Branch.TOP))

    @property
    def kl_names(self) -> tuple[str, ...]:
        """The names of the KL terms of the bound: the latents', and "y" if there are classes."""
        names = tuple(latent.name for latent in self.latents)
        return (*names, *self.class_shape)

    def level_latents(self, level: int) -> tuple[LatentSpec, ...]:
        """The latents of a level, bottom-up before top-down."""
        return tuple(latent for latent in self.latents if latent.level == level)

    def with_ceiling(self, ceiling: float | None) -> "ModelSpec":
        """The spec with another `log_variance_ceiling`. Raises SpecError if it can be none."""
        return dataclasses.replace(self, log_variance_ceiling=ceiling)

    def to_json(self) -> str:
        """The spec as indented JSON; `from_json` reads it back to an equal spec."""
        return json.dumps(to_plain(self), indent=2)

    @staticmethod
    def from_json(text: str) -> "ModelSpec":
        """Reads a spec from JSON.

        Raises:
          SpecError: not JSON, an unknown or missing field, or a field with a wrong value.
        """
        try:
            plain = parse_json(text.encode())
        except JsonError as e:
            raise SpecError(f"the model spec is not JSON: {e}") from e
        return from_plain(plain)

    def get_config(self) -> dict:
        """The spec as plain data: what Keras writes into a .keras file."""
        return to_plain(self)

    @classmethod
    def from_config(cls, config: dict) -> "ModelSpec":
        """The spec of `get_config`."""
        return from_plain(config)


def to_plain(spec: ModelSpec) -> dict:
    """The spec as dicts, lists, strings and numbers: what `from_plain` and JSON take."""
    plain = dataclasses.asdict(spec)
    # So that the specs of earlier versions keep their JSON.
    for bound in ("log_variance_ceiling", "log_variance_floor"):
        if plain[bound] is None:
            del plain[bound]
    if spec.top_prior == _STANDARD_PRIOR:
        del plain["top_prior"]
    else:
        plain["top_prior"] = kind_to_plain(spec.top_prior)
    if spec.posterior == "direct":
        del plain["posterior"]
    if spec.stages_kind is None:
        del plain["stages_kind"]
    else:
        plain["stages_kind"] = kind_to_plain(spec.stages_kind)
    plain["likelihood"] = kind_to_plain(spec.likelihood)
    for stage, plain_stage in zip(spec.stages, plain["stages"], strict=True):
        plain_stage["blocks"] = [_plain_block(block) for block in stage.blocks]
        plain_stage["latent"] = kind_to_plain(stage.latent)
    return json.loads(json.dumps(plain))  # tuples become lists, as they do in a file


def from_plain(plain: Any) -> ModelSpec:
    """Reads a spec from plain data. Raises SpecError naming the path of the wrong field."""
    fields = dict(_mapping(plain, "spec"))
    stages = fields.get("stages")
    require(isinstance(stages, list | tuple), "stages", "a list of stages", stages)
    fields["stages"] = tuple(_read_stage(s, f"stages[{i}]") for i, s in enumerate(stages))
    if isinstance(fields.get("likelihood"), str):
        fields = _with_likelihood_of_version_0_1(fields)
    if "likelihood" in fields:
        fields["likelihood"] = _read_kind(fields["likelihood"], LikelihoodKind, "likelihood")
    if fields.get("stages_kind") is not None:
        fields["stages_kind"] = _read_kind(fields["stages_kind"], StagesKind, "stages_kind")
    if "top_prior" in fields:
        fields["top_prior"] = _read_kind(fields["top_prior"], TopPriorKind, "top_prior")
    if fields.get("classes") is not None:
        fields["classes"] = _make(Classes, _mapping(fields["classes"], "classes"), "classes")
    return _make(ModelSpec, fields, "spec")


def _with_likelihood_of_version_0_1(fields: dict) -> dict:
    """Version 0.1 wrote the kind alone, and the number of mixtures beside it."""
    fields = dict(fields)
    likelihood = {"kind": fields["likelihood"]}
    num_mixtures = fields.pop("num_mixtures", None)
    if num_mixtures is not None and likelihood["kind"] == LogisticMixture.kind:
        likelihood["num_mixtures"] = num_mixtures
    return {**fields, "likelihood": likelihood}


def _read_stage(plain: Any, path: str) -> StageSpec:
    fields = dict(_mapping(plain, path))
    blocks = fields.get("blocks")
    require(isinstance(blocks, list | tuple), f"{path}.blocks", "a list of blocks", blocks)
    fields["blocks"] = tuple(
        _read_kind(b, BlockKind, f"{path}.blocks[{j}]", default=GATED) for j, b in enumerate(blocks)
    )
    fields["latent"] = _read_kind(fields.get("latent"), LatentKind, f"{path}.latent")
    return _make(StageSpec, fields, path)


def _plain_block(block: BlockKind) -> dict:
    """A block; one of the kind gated as before there were others, without its kind."""
    plain = kind_to_plain(block)
    if block.kind == GATED:
        del plain["kind"]
    return plain


def _read_kind(plain: Any, family: type[Kind], path: str, default: str | None = None) -> Any:
    """A part of a family, of the class that its `kind` names; without one, of the default's."""
    fields = dict(_mapping(plain, path))
    cls = of_kind(family, fields.pop("kind", default), f"{path}.kind")
    return _make(cls, fields, path)


def _classes(family: type[Kind]) -> str:
    """The names of the classes of a family, for messages."""
    return ", ".join(cls.__name__ for cls in known(family).values())


def _mapping(value: Any, path: str) -> dict:
    require(isinstance(value, dict), path, "an object with named fields", value)
    return value


def _make(cls: type, values: dict, path: str) -> Any:
    known = {f.name: f for f in dataclasses.fields(cls)}
    for name in values:
        require(name in known, f"{path}.{name}", f"one of the fields {', '.join(known)}", name)
    for name, field in known.items():
        if field.default is dataclasses.MISSING and name not in values:
            raise SpecError(f"{path}.{name}: expected a value, got nothing")
    frozen = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return cls(**frozen)
    except SpecError as e:
        raise SpecError(f"{path}.{e}") from None
