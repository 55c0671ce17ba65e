"""The priors of the top latent that a spec can ask for; `top_priors` makes them."""

import dataclasses

from biva_tf.model.checks import require_count
from biva_tf.model.kinds import TopPriorKind, register


@register("standard")
@dataclasses.dataclass(frozen=True)
class StandardPrior(TopPriorKind):
    """N(0, I), the original's. It has no weights."""


@register("gaussian")
@dataclasses.dataclass(frozen=True)
class GaussianPrior(TopPriorKind):
    """A Gaussian with a learnt mean and a learnt variance of each number; at first N(0, I)."""


@register("vamp")
@dataclasses.dataclass(frozen=True)
class VampPrior(TopPriorKind):
    """The VampPrior (Tomczak & Welling 2018): the mean of the posteriors of learnt pseudo-inputs.

    Attributes:
      components: the number of pseudo-inputs.
    """

    components: int = 100

    def __post_init__(self):
        require_count(self.components, "components")
