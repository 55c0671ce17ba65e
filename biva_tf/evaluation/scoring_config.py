"""Which scores an evaluation computes."""

import dataclasses

from biva_tf.choices import BELOW
from biva_tf.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class ScoringConfig(Settings):
    """All that the scores depend on, beside the weights and the images.

    Attributes:
      iw_samples: the importance samples per image: K of L_K, and the samples whose mean is L^{>k}.
      ks: every k of L^{>k}; empty to leave them out.
      bounds: whether to compute L_1, L_K and their terms.
      below: latents of levels <= k are a "sample" of the prior, or its "mode".
      seed: the seed of the samples.

    Raises:
      SettingsError: one of them has another value than it can have.
    """

    iw_samples: int = setting(lower=1)
    ks: tuple[int, ...] = setting((), lower=0)
    bounds: bool = True
    below: str = setting("sample", choices=BELOW)
    seed: int = setting(0, lower=0)
