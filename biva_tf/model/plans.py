"""Plans: for each latent, the source that the top-down pass takes its value from.

Training, bounds, sampling, L^{>k} and reconstruction are the same two passes under these plans.
"""

import dataclasses

import tensorflow as tf

from biva_tf.errors import Setting, SettingsError
from biva_tf.model.spec import ModelSpec


@dataclasses.dataclass(frozen=True)
class Posterior:
    """Draw from q(z | x, ...)."""


@dataclasses.dataclass(frozen=True)
class Prior:
    """Draw from p(z | z above); `temperature` scales its standard deviation.

    What that means for a prior that is not Gaussian, `latent_distributions.draw` says.
    """

    temperature: float | tf.Tensor = 1.0


@dataclasses.dataclass(frozen=True)
class PriorMode:
    """Take the mode of p(z | z above)."""


@dataclasses.dataclass(frozen=True)
class Given:
    """Take the value as given: a tensor [rows, *latent shape]."""

    value: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Switch:
    """One of two sources, chosen by the scalar bool tensor `condition` when the graph runs."""

    condition: tf.Tensor
    if_true: Prior | PriorMode
    if_false: Posterior | Prior


LatentSource = Posterior | Prior | PriorMode | Given | Switch
Plan = tuple[LatentSource, ...]  # one source per latent, in the order of `ModelSpec.latents`


def draws_from_posterior(source: LatentSource) -> bool:
    """Whether a latent with this source is, or may be, drawn from its posterior."""
    return isinstance(source.if_false if isinstance(source, Switch) else source, Posterior)


def posterior(spec: ModelSpec) -> Plan:
    """Every latent from the posterior: training, the ELBO, importance-weighted bounds."""
    return tuple(Posterior() for _ in spec.latents)


def prior(spec: ModelSpec, temperature: float | tf.Tensor = 1.0) -> Plan:
    """Every latent from the prior: ancestral sampling."""
    return tuple(Prior(temperature) for _ in spec.latents)


def prior_up_to(spec: ModelSpec, k: int | tf.Tensor) -> Plan:
    """Levels <= k from the prior, the rest from the posterior: L^{>k} (paper, eq. 2).

    k = 0 is `posterior(spec)`, whose bound is the ELBO; with k = L-1 only the top latent is
    inferred. Here and below, k may be a scalar tensor; the caller then checks its range.

    Raises:
      ValueError: k is not in 0..L-1.
    """
    return _split(spec, k, Prior())


def prior_mode_up_to(spec: ModelSpec, k: int | tf.Tensor) -> Plan:
    """Levels <= k at their prior's mode, the rest from the posterior: reconstruction from the top.

    Raises:
      ValueError: k is not in 0..L-1.
    """
    return _split(spec, k, PriorMode())


def prior_above(spec: ModelSpec, k: int, temperature: float | tf.Tensor = 1.0) -> Plan:
    """Levels > k drawn from the prior, the rest at their prior's mode.

    It shows what the levels above k determine.

    Raises:
      ValueError: k is not in 0..L-1.
    """
    return _split(spec, k, PriorMode(), Prior(temperature))


def _split(
    spec: ModelSpec,
    k: int | tf.Tensor,
    below: Prior | PriorMode,
    above: Posterior | Prior = Posterior(),
) -> Plan:
    if tf.is_tensor(k):
        return tuple(Switch(latent.level <= k, below, above) for latent in spec.latents)
    if not 0 <= k < spec.num_levels:
        expected = f": expected an integer in 0..{spec.num_levels - 1}, got {k!r}"
        raise SettingsError(Setting("k"), expected)
    return tuple(below if latent.level <= k else above for latent in spec.latents)
