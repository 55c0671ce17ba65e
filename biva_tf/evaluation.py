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
from biva_tf.data.images_view import Images
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
      max_rows: at most this many rows (an image, a sample and a k) are in memory at once.
      folder: of the files with finished chunks.

    Raises:
      EvaluationError: a setting is out of range.
    """

    def __init__(self, model: BIVA, settings: Settings, max_rows: int, folder: Path):
        self.model, self.settings = model, settings
        self._folder = folder
        self._bounds, self._above = None, None
        if not settings.iw_samples and not settings.ks:
            raise EvaluationError("--k: expected at least one k, got none")
        try:
            if settings.iw_samples:
                self._bounds = scoring.Chunks(
                    model,
                    (0,),
                    settings.iw_samples,
                    "sample",
                    settings.seed,
                    max_rows,
                    with_shifts=True,
                )
            if settings.ks:
                # L^{>0} too: LLR^{>k} needs it.
                ks, samples = sorted({0, *settings.ks}), settings.k_samples
                self._above = scoring.Chunks(
                    model, ks, samples, settings.below, settings.seed, max_rows
                )
        except ValueError as e:
            raise EvaluationError(str(e)) from e
        weights = 0
        for variable in model.trainable_variables:
            weights = zlib.crc32(variable.numpy().tobytes(), weights)
        self._weights = weights

    def scores(self, images: Images, name: str) -> streaming.Results:
        """The scores of every image; those of an earlier, interrupted call are not computed again.

        Args:
          images: of the split; or an array, float32 [images, *spec.image_shape] in [0, 1].
          name: of the images, for files and messages.

        Returns:
          `examples`, float64, nats: `bound` (L_K), `elbo` (L_1, the mean of the K one-sample
          bounds), `reconstruction`, `kl` [images, latents], `effective_sample_size`; and `above_k`
          (L^{>k}) for k = 0 and every k asked for. `totals`, by latent, sums over the images:
          `shift/LATENT`, the posterior's mean minus the prior's; `shift_squared/LATENT`, its square
          without what is due to the finite number of samples.

        Raises:
          EvaluationError: naming the first image whose score is not finite.
        """
        results = streaming.Results(len(images), {}, {})
        of_bounds = (self._bounds, self._bound_arrays, self.settings.iw_samples, "bounds")
        of_above = (self._above, self._above_arrays, self.settings.k_samples, "above")
        for chunks, arrays, samples, kind in (of_bounds, of_above):
            if chunks is None:
                continue

            def compute(first: int, stop: int, arrays=arrays):
                examples, totals = arrays(images[first:stop], first)
                self._check(examples, first, name)
                return examples, totals

            part = streaming.stream(
                compute,
                len(images),
                max(1, min(chunks.max_images, _ROWS_PER_CHUNK // samples)),
                self._path(kind, name, images).with_suffix(".npz"),
                describe=self._describe,
            )
            results.examples.update(part.examples)
            results.totals.update(part.totals)
        return results

    def _bound_arrays(self, images, first) -> tuple[streaming.Arrays, streaming.Arrays]:
        (sums,), shifts = self._bounds.sums(images, first)
        examples = {
            "bound": sums.bound,
            "elbo": sums.elbo,
            "reconstruction": sums.reconstruction / sums.count,
            "kl": sums.kl / sums.count,
            "effective_sample_size": sums.effective_sample_size,
        }
        totals = {}
        for latent, (shift, error) in zip(self.model.spec.latents, shifts, strict=True):
            shift, error = np.float64(shift), np.float64(error)
            totals[f"shift/{latent.name}"] = shift.sum(axis=0)
            totals[f"shift_squared/{latent.name}"] = (shift**2 - error).sum(axis=0)
        return {key: np.asarray(value) for key, value in examples.items()}, totals

    def _above_arrays(self, images, first) -> tuple[streaming.Arrays, streaming.Arrays]:
        all_sums, _ = self._above.sums(images, first)
        ks = self._above.ks
        return {f"above_{k}": sums.elbo.numpy() for k, sums in zip(ks, all_sums, strict=True)}, {}

    def _check(self, examples: streaming.Arrays, first: int, name: str) -> None:
        for key, values in examples.items():
            finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
            if not finite.all():
                at = int(np.argmin(finite))
                raise EvaluationError(
                    f"example {first + at} of {name}: {key} is {values[at].tolist()}; no example "
                    "is left out of a mean, so there is no result"
                )

    def path(self, name: str, *splits: Images) -> Path:
        """A file for the results of some splits: one of its own for all that they depend on."""
        return self._path("all", name, *splits)

    def _path(self, kind: str, name: str, *splits: Images) -> Path:
        s = self.settings
        bounds, above = [s.iw_samples], [s.k_samples, s.below, *sorted({0, *s.ks})]
        depends = {"bounds": bounds, "above": above, "all": bounds + above}[kind]
        identity = [kind, s.seed, self._weights, *depends]
        for images in splits:
            identity += [len(images), _fingerprint(images)]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:8]
        ending = "" if kind == "all" else f"_{kind}"
        return self._folder / f"{name.replace(' ', '_')}_{digest}{ending}"

    def _describe(self, results: streaming.Results) -> str:
        values, label = results.examples.get("bound"), f"L_{self.settings.iw_samples}"
        if values is None:
            k = max(self.settings.ks)
            values, label = results.examples[f"above_{k}"], f"L^{{>{k}}}"
        mean = mean_of(values, self.model.spec)
        return f"{label} {mean.nats:.2f} nats {mean.bits_per_dim:.4f} bits/dim"


def _fingerprint(images: Images) -> int:
    value = 0
    for start in range(0, len(images), _ROWS_PER_CHUNK):
        value = zlib.crc32(images[start : start + _ROWS_PER_CHUNK].tobytes(), value)
    return value


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
        the examples above 0.01; None of one example. At the top that is the measure of Burda et al.
        2015; further down, the prior's mean is taken off so that a unit that only follows the
        latents above is not active. The mean is one over the samples, and the variance that is due
        to their finite number is taken off; of one sample it is not known, so that the count is
        then an upper one.
      units: all of them.
    """

    name: str
    kl_nats: float
    active_units: int | None
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
        active = int((variance > ACTIVE_VARIANCE).sum()) if results.done > 1 else None
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
