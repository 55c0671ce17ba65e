"""Which scores an evaluation computes."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ScoringConfig:
    """All that the scores depend on, beside the weights and the images.

    Attributes:
      iw_samples: the importance samples per image: K of L_K, and the samples whose mean is L^{>k}.
      ks: every k of L^{>k}; empty to leave them out.
      bounds: whether to compute L_1, L_K and their terms.
      below: latents of levels <= k are a "sample" of the prior, or its "mode".
      seed: the seed of the samples.
    """

    iw_samples: int
    ks: tuple[int, ...] = ()
    bounds: bool = True
    below: str = "sample"
    seed: int = 0
