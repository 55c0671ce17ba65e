"""Evaluation of a trained model on a split: bounds, their terms, and what the latents do.

`Evaluator` computes the scores of every image; `summarise` makes the numbers that are reported.
"""

import dataclasses
import hashlib
import json
import math
import zlib
from pathlib import Path

import numpy as np

from biva_tf import objectives, scoring, streaming
from biva_tf.errors import UserError
from biva_tf.model import BIVA
from biva_tf.spec import ModelSpec

ACTIVE_VARIANCE = 0.01  # Burda et al. 2015, section 5.1
_ROWS_PER_CHUNK = 4096  # rows between two chances to stop and go on


class EvaluationError(UserError, RuntimeError):
    """A score that is not finite, or settings that the model cannot be evaluated with."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the numbers depend on, beside the weights and the images.

    Attributes:
      iw_samples: K of L_K; 0 leaves the bounds out.
      ks: every k of L^{>k}; none leaves them out.
      k_samples: samples of L^{>k}, whose mean estimates the expectation of eq. 2.
      below: what latents of levels <= k are: "sample" of the prior, or its "mode".
      seed: of the samples.
    """

    iw_samples: int
    ks: tuple[int, ...] = ()
    k_samples: int = 1
    below: str = "sample"
    seed: int = 0


class Evaluator:
    """Scores images with a model, in chunks, keeping what is finished.

    Args:
      model: the model, with its weights.
      settings: of the evaluation.
      max_rows: at most this many (image, sample) pairs are in memory at once.
      folder: of the files with finished chunks.

    Raises:
      EvaluationError: a setting is out of range.
    """

    def __init__(self, model: BIVA, settings: Settings, max_rows: int, folder: Path):
        self.model, self.settings = model, settings
        self._max_rows, self._folder = max_rows, folder
        self._bounds, self._above = None, None
        common = (settings.below, settings.seed, max_rows)
        try:
            if settings.iw_samples:
                self._bounds = scoring.Chunks(
                    model, (0,), settings.iw_samples, *common, with_shifts=True
                )
            if settings.ks:
                ks = dict.fromkeys((0, *settings.ks))  # L^{>0} too: LLR^{>k} needs it
                self._above = scoring.Chunks(model, ks, settings.k_samples, *common)
        except ValueError as e:
            raise EvaluationError(str(e)) from e
        weights = 0
        for variable in model.trainable_variables:
            weights = zlib.crc32(variable.numpy().tobytes(), weights)
        self._weights = weights

    def scores(self, images: np.ndarray, name: str) -> streaming.Results:
        """The scores of every image; those of an earlier, interrupted call are not computed again.

        Args:
          images: float32 [images, *spec.image_shape] in [0, 1].
          name: of the images, for files and messages.

        Returns:
          `examples`, float64, nats: `bound` (L_K), `elbo` (L_1, the mean of the K one-sample
          bounds), `reconstruction`, `kl` [images, latents], `effective_sample_size`; and `above_k`
          (L^{>k}) for k = 0 and every k asked for. `totals`: `shift/LATENT` and
          `shift_squared/LATENT`, sums over the images of the posterior's mean minus the prior's.

        Raises:
          EvaluationError: naming the first image whose score is not finite.
        """

        def compute(first: int, stop: int):
            examples, totals = self._compute(images[first:stop], first)
            self._check(examples, first, name)
            return examples, totals

        samples = max(self.settings.iw_samples, self.settings.k_samples)
        chunk = max(1, min(self._max_rows, _ROWS_PER_CHUNK // samples))
        return streaming.stream(
            compute, len(images), chunk, self.path(images, name), describe=self._describe
        )

    def _compute(self, images, first) -> tuple[streaming.Arrays, streaming.Arrays]:
        examples, totals = {}, {}
        if self._bounds:
            (sums,), shifts = self._bounds.sums(images, first)
            examples = {
                "bound": sums.bound,
                "elbo": sums.elbo,
                "reconstruction": sums.reconstruction / sums.count,
                "kl": sums.kl / sums.count,
                "effective_sample_size": sums.effective_sample_size,
            }
            for latent, shift in zip(self.model.spec.latents, shifts, strict=True):
                shift = np.float64(shift)
                totals[f"shift/{latent.name}"] = shift.sum(axis=0)
                totals[f"shift_squared/{latent.name}"] = (shift**2).sum(axis=0)
        if self._above:
            all_sums, _ = self._above.sums(images, first)
            for k, sums in zip(self._above.ks, all_sums, strict=True):
                examples[f"above_{k}"] = sums.elbo
        return {key: np.asarray(value) for key, value in examples.items()}, totals

    def _check(self, examples: streaming.Arrays, first: int, name: str) -> None:
        for key, values in examples.items():
            finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
            if not finite.all():
                at = int(np.argmin(finite))
                raise EvaluationError(
                    f"example {first + at} of {name}: {key} is {values[at].tolist()}; no example "
                    "is left out of a mean, so there is no result"
                )

    def path(self, images: np.ndarray, name: str) -> Path:
        """The file of the scores: one of its own for all that they depend on."""
        identity = [dataclasses.asdict(self.settings), len(images), zlib.crc32(images.tobytes())]
        text = json.dumps([*identity, self._weights])
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return self._folder / f"{name.replace(' ', '_')}_{digest}.npz"

    def _describe(self, results: streaming.Results) -> str:
        values = results.examples
        name, of = (f"L_{self.settings.iw_samples}", values.get("bound")), self.settings.ks
        if name[1] is None:
            name = (f"L^{{>{of[0]}}}", values[f"above_{of[0]}"])
        mean = mean_of(name[1], self.model.spec)
        return f"{name[0]} {mean.nats:.2f} nats {mean.bits_per_dim:.4f} bits/dim"


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean over examples, in nats and in bits/dim, with its standard error over the examples.

    Of one example the standard errors are None.
    """

    nats: float
    nats_standard_error: float | None
    bits_per_dim: float
    bits_per_dim_standard_error: float | None


def mean_of(values: np.ndarray, spec: ModelSpec, sign: int = 1) -> Mean:
    """The mean of bounds in nats, [examples]; with sign -1 of differences of bounds.

    A bound's bits/dim have its sign turned, since they are those of -log p(x); a difference's not.
    """
    mean = float(values.mean())
    bits = sign * objectives.bits_per_dim(1.0, spec.image_shape)
    if len(values) == 1:
        return Mean(mean, None, mean * bits, None)
    error = float(values.std(ddof=1) / math.sqrt(len(values)))
    return Mean(mean, error, mean * bits, abs(error * bits))


@dataclasses.dataclass(frozen=True)
class LatentSummary:
    """What a latent does on a split.

    Attributes:
      name: of the latent.
      kl_nats: KL(q||p), the mean over examples and samples.
      active_units: units whose posterior mean, relative to the prior's mean, has a variance over
        the examples above 0.01. At the top that is the measure of Burda et al. 2015; further down,
        the prior's mean is taken off so that a unit that only follows the latents above is not
        active.
      units: all of them.
    """

    name: str
    kl_nats: float
    active_units: int
    units: int


@dataclasses.dataclass(frozen=True)
class Summary:
    """The numbers that are reported of a split.

    Attributes:
      examples: how many.
      l_1: the ELBO.
      l_k: the importance-weighted bound.
      reconstruction_nats: log p(x|z).
      latents: in the paper's order.
      effective_sample_size: the mean, median and least over the examples.
      above: L^{>k} by k.
      llr: LLR^{>k} = L - L^{>k} by k.
    """

    examples: int
    l_1: Mean
    l_k: Mean
    reconstruction_nats: float
    latents: tuple[LatentSummary, ...]
    effective_sample_size: tuple[float, float, float]
    above: dict[int, Mean]
    llr: dict[int, Mean]


def summarise(results: streaming.Results, settings: Settings, spec: ModelSpec) -> Summary:
    """The means of the scores that `Evaluator.scores` gave."""
    values = results.examples
    kl = values["kl"].mean(axis=0)
    latents = []
    for latent, nats in zip(spec.latents, kl, strict=True):
        mean = results.totals[f"shift/{latent.name}"] / results.done
        variance = results.totals[f"shift_squared/{latent.name}"] / results.done - mean**2
        active = int((variance > ACTIVE_VARIANCE).sum())
        latents.append(LatentSummary(latent.name, float(nats), active, variance.size))
    size = values["effective_sample_size"]
    elbo = values.get("above_0")
    return Summary(
        examples=results.done,
        l_1=mean_of(values["elbo"], spec),
        l_k=mean_of(values["bound"], spec),
        reconstruction_nats=float(values["reconstruction"].mean()),
        latents=tuple(latents),
        effective_sample_size=(float(size.mean()), float(np.median(size)), float(size.min())),
        above={k: mean_of(values[f"above_{k}"], spec) for k in settings.ks},
        llr={k: mean_of(elbo - values[f"above_{k}"], spec, -1) for k in settings.ks if k},
    )
