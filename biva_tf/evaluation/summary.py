"""The numbers that are reported of the scores of a split."""

import dataclasses
import math

import numpy as np

from biva_tf.evaluation.resumable import Results
from biva_tf.evaluation.scoring_config import ScoringConfig
from biva_tf.inference import objectives
from biva_tf.model.observed import Unit
from biva_tf.model.spec import ModelSpec

ACTIVE_VARIANCE = 0.01  # Burda et al. 2015, section 5.1


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean over examples, in nats and in bits/dim, with its standard error over the examples.

    With one example, or a mean that is not finite, the standard errors are None.
    """

    nats: float
    nats_standard_error: float | None
    bits_per_dim: float
    bits_per_dim_standard_error: float | None


def mean_of(values: np.ndarray, spec: ModelSpec, sign: int = 1) -> Mean:
    """The mean of bounds in nats, [examples]; with sign -1 of differences of bounds.

    The bits/dim of a bound are those of -log p(x), so they have the opposite sign. Those of a
    difference have the same sign.
    """
    mean = float(values.mean())
    bits = sign * objectives.bits_per_dim(1.0, spec.image_shape)
    if len(values) == 1 or not math.isfinite(mean):
        return Mean(mean, None, mean * bits, None)
    error = float(values.std(ddof=1) / math.sqrt(len(values)))
    return Mean(mean, error, mean * bits, abs(error * bits))


def lower_is_better(spec: ModelSpec) -> tuple[float, str]:
    """The factor by which bounds in nats are reported, and the name of the unit.

    The likelihood says which it is (`LikelihoodKind.unit`).
    """
    unit = spec.likelihood.unit
    factors = {Unit.NATS: -1.0, Unit.BITS_PER_DIM: objectives.bits_per_dim(1.0, spec.image_shape)}
    return factors[unit], unit.value


@dataclasses.dataclass(frozen=True)
class LatentSummary:
    """The use of a latent on a split.

    Attributes:
      name: the latent's name.
      kl_nats: KL(q||p), the mean over examples and samples.
      active_units: the units whose posterior mean, less the prior's mean, has a variance over the
        examples above 0.01; None if there is one example. At the top this is the measure of Burda
        et al. 2015. Further down, subtracting the prior's mean leaves out units that only follow
        the latents above. The posterior mean is averaged over the samples, and the variance due to
        their finite number is subtracted. With one sample that variance is unknown, and the count
        is an upper bound.
      units: all of them.
      closed_kl_nats: the same mean, of KL(q||p) in closed form in place of log q(z) - log p(z) at
        the draws; None if it was not computed.
    """

    name: str
    kl_nats: float
    active_units: int | None
    units: int
    closed_kl_nats: float | None = None


@dataclasses.dataclass(frozen=True)
class EvaluationSummary:
    """The reported numbers of a split.

    Attributes:
      examples: their number.
      l_1: the ELBO.
      l_k: the importance-weighted bound.
      reconstruction_nats: log p(x|z).
      latents: in the paper's order.
      kl_y_nats: KL(q(y|x)||p(y)); None if the model has no classes.
      effective_sample_size: the mean, median and least over the examples.
      above: L^{>k} by k.
      llr: LLR^{>k} = L - L^{>k} by k.
      perplexity: of text, exp(-L_K per token), ends of sentences included; else None.
    """

    examples: int
    l_1: Mean
    l_k: Mean
    reconstruction_nats: float
    latents: tuple[LatentSummary, ...]
    kl_y_nats: float | None
    effective_sample_size: tuple[float, float, float]
    above: dict[int, Mean]
    llr: dict[int, Mean]
    perplexity: float | None = None

    @property
    def in_bits(self) -> bool:
        """Whether the bits/dim of the means mean something: x has a fixed size."""
        return self.perplexity is None


def summarise(
    results: Results, config: ScoringConfig, spec: ModelSpec, tokens: int | None = None
) -> EvaluationSummary:
    """The means of the scores that `Evaluator.scores` gave.

    Args:
      results: the scores.
      config: which they are.
      spec: the model's spec.
      tokens: of text, those of all examples.
    """
    values = results.examples
    kl = values["kl"].mean(axis=0)
    latents = []
    kl_nats = dict(zip(spec.kl_names, map(float, kl), strict=True))
    for i, latent in enumerate(spec.latents):
        mean = results.totals[f"shift/{latent.name}"] / results.done
        variance = results.totals[f"shift_squared/{latent.name}"] / results.done - mean**2
        active = int((variance > ACTIVE_VARIANCE).sum()) if results.done > 1 else None
        closed = float(values["closed_kl"][:, i].mean()) if "closed_kl" in values else None
        latents.append(
            LatentSummary(latent.name, kl_nats[latent.name], active, variance.size, closed)
        )
    size = values["effective_sample_size"]

    def ratio(k: int) -> np.ndarray:
        return objectives.likelihood_ratio(values["above_0"], values[f"above_{k}"])

    return EvaluationSummary(
        examples=results.done,
        l_1=mean_of(values["elbo"], spec),
        l_k=mean_of(values["bound"], spec),
        reconstruction_nats=float(values["reconstruction"].mean()),
        latents=tuple(latents),
        kl_y_nats=kl_nats.get("y"),
        effective_sample_size=(float(size.mean()), float(np.median(size)), float(size.min())),
        above={k: mean_of(values[f"above_{k}"], spec) for k in config.ks},
        llr={k: mean_of(ratio(k), spec, -1) for k in config.ks if k},
        perplexity=tokens and objectives.perplexity(values["bound"].sum(), tokens),
    )
