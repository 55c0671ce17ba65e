"""Scores of whole splits: the bounds, their terms, and the latents' use.

`Evaluator` computes the scores of every image; `summary.summarise` makes the reported numbers.
"""

import functools
import hashlib
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from biva_tf.data.pipeline import Examples
from biva_tf.errors import Setting, UserError
from biva_tf.evaluation import resumable
from biva_tf.evaluation.resumable import ResultArrays
from biva_tf.evaluation.scoring_config import ScoringConfig
from biva_tf.inference import chunks, objectives
from biva_tf.inference.scoring import ScoredBatch, Scorer
from biva_tf.model.network import Network

# A batch has this many times max_rows pairs of image and sample, and its results are kept. If a
# batch has few images, the noise of a sample costs a small model more time than its pass does.
_CHUNKS_PER_BATCH = 16
_NAMED = 10  # examples in a line
_IMAGES_AT_ONCE = 4096  # read for a fingerprint


class EvaluationError(UserError, RuntimeError):
    """Settings that the model cannot be evaluated with."""


class Evaluator:
    """Scores images with a model, batch by batch, and keeps the finished batches.

    Args:
      model: the model, with its weights.
      config: which scores.
      max_rows: at most this many rows (an image, a sample and a k) are in memory at once.
      folder: where the files of finished batches are.
      with_closed_kl: whether the bounds come with KL(q||p) in closed form.

    Raises:
      EvaluationError: a setting is out of range.
    """

    def __init__(
        self,
        model: Network,
        config: ScoringConfig,
        max_rows: int,
        folder: Path,
        *,
        with_closed_kl: bool = False,
    ):
        self._with_closed_kl = with_closed_kl
        self.model, self.config = model, config
        self._folder, self._rows_per_batch = folder, _CHUNKS_PER_BATCH * max_rows
        self._bounds, self._above = None, None
        if not config.bounds and not config.ks:
            raise EvaluationError(Setting("k"), ": expected at least one k, got none")
        try:
            if config.bounds:
                self._bounds = self._scorer((0,), "sample", max_rows, with_shifts=True)
            if config.ks:
                # With L^{>0}, since LLR^{>k} needs it.
                self._above = self._scorer(sorted({0, *config.ks}), config.below, max_rows)
        except ValueError as e:
            raise EvaluationError(*e.args) from e
        weights = 0
        for variable in model.trainable_variables:
            weights = zlib.crc32(variable.numpy().tobytes(), weights)
        self._weights = weights

    def _scorer(self, ks, below: str, max_rows: int, *, with_shifts: bool = False) -> Scorer:
        samples = self.config.iw_samples
        return Scorer(
            self.model,
            ks,
            samples,
            below,
            max_rows,
            with_shifts=with_shifts,
            with_closed_kl=with_shifts and self._with_closed_kl,
        )

    def scores(self, images: Examples, name: str) -> resumable.Results:
        """The scores of every image; those of an earlier, interrupted call are not computed again.

        Args:
          images: the split's images, or an array, float32 [images, *spec.image_shape].
          name: the images' name, for files and messages.

        Returns:
          `examples`, float64, nats: `bound` (L_K), `elbo` (L_1, the mean of the K one-sample
          bounds), `reconstruction`, `kl` [images, latents], `effective_sample_size`; with
          `with_closed_kl`, `closed_kl` [images, latents]; and, for k = 0 and every k of the
          config, `above_k` (L^{>k}, the mean of K one-sample bounds) and `bound_above_k` (its
          importance-weighted form with the same K samples). `totals`, by latent, sums over the
          images: `shift/LATENT`, the posterior's mean minus the prior's; `shift_squared/LATENT`,
          its square without the part that is due to the finite number of samples.

        A score that is not finite (`ImageScores`) stays among the others, and a line on standard
        error names its image.
        """
        results = resumable.Results(len(images), {}, {})
        parts = (
            ("bounds", self._bounds, self._bound_arrays),
            ("above", self._above, self._above_arrays),
        )
        for kind, scorer, arrays in parts:
            if scorer is None:
                continue
            part = resumable.compute_all(
                functools.partial(self._parts, scorer, arrays, images),
                len(images),
                self._path(kind, name, images).with_suffix(".npz"),
                describe=self._describe,
            )
            results.examples.update(part.examples)
            results.totals.update(part.totals)
        if note := _of_overflows(results.examples, name):
            print(note, file=sys.stderr)
        return results

    def _parts(
        self, scorer: Scorer, arrays: Callable, images: Examples, start: int
    ) -> Iterator[resumable.ResultPart]:
        limit = max(1, self._rows_per_batch // self.config.iw_samples)
        for batch in scorer.batches(images, seed=self.config.seed, start=start, at_once=limit):
            yield batch.stop, *arrays(batch)

    def _bound_arrays(self, batch: ScoredBatch) -> tuple[ResultArrays, ResultArrays]:
        (scores,) = batch.by_k
        totals = {}
        for latent, use in zip(self.model.spec.latents, batch.shifts, strict=True):
            shift, error = map(np.float64, use.shift)
            finite = np.isfinite(shift**2).all(axis=tuple(range(1, shift.ndim)))
            shift, error = shift[finite], error[finite]  # of an image that overflows it is unknown
            totals[f"shift/{latent.name}"] = shift.sum(axis=0)
            totals[f"shift_squared/{latent.name}"] = (shift**2 - error).sum(axis=0)
        arrays: ResultArrays = scores._asdict()
        if self._with_closed_kl:
            kls = [np.float64(use.kl[0]) for use in batch.shifts]
            arrays["closed_kl"] = np.stack(kls, axis=1)
        return arrays, totals

    def _above_arrays(self, batch: ScoredBatch) -> tuple[ResultArrays, ResultArrays]:
        arrays: ResultArrays = {}
        for k, scores in zip(self._above.ks, batch.by_k, strict=True):
            arrays |= {f"above_{k}": scores.elbo, f"bound_above_{k}": scores.bound}
        return arrays, {}

    def path(self, name: str, *splits: Examples) -> Path:
        """A file for the results of splits; results that depend on anything else have another."""
        return self._path("all", name, *splits)

    def _path(self, kind: str, name: str, *splits: Examples) -> Path:
        c = self.config
        bounds: list[int | str] = [c.iw_samples if c.bounds else 0]
        bounds += ["closed_kl"] if self._with_closed_kl else []
        # "bounds" tells these files from those of earlier versions, which lack `bound_above_k`.
        above: list[int | str] = ["bounds", c.iw_samples, c.below, *sorted({0, *c.ks})]
        depends = {"bounds": bounds, "above": above, "all": bounds + above}[kind]
        identity = [kind, c.seed, self._weights, *depends]
        for images in splits:
            identity += [len(images), _fingerprint(images)]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:8]
        ending = "" if kind == "all" else f"_{kind}"
        return self._folder / f"{name.replace(' ', '_')}_{digest}{ending}"

    def _describe(self, results: resumable.Results) -> str:
        values, label = results.examples.get("bound"), f"L_{self.config.iw_samples}"
        if values is None:
            k = max(self.config.ks)
            values, label = results.examples[f"above_{k}"], f"L^{{>{k}}}"
        bits = objectives.bits_per_dim(values.mean(), self.model.spec.image_shape)
        return f"{label} {values.mean():.2f} nats {bits:.4f} bits/dim"


def _of_overflows(examples: ResultArrays, name: str) -> str | None:
    """A line about the images with scores that are not finite; None without one."""
    number = len(next(iter(examples.values())))
    finite = np.ones(number, bool)
    for values in examples.values():
        finite &= np.isfinite(values.reshape(number, -1)).all(axis=1)
    odd = np.flatnonzero(~finite)
    if not len(odd):
        return None
    shown = ", ".join(map(str, odd[:_NAMED])) + (", ..." if len(odd) > _NAMED else "")
    return (
        f"note: {len(odd)} of {number} examples of {name} have scores that are not finite (number "
        f"{shown}): means that they enter are infinite, and ranks take them as the oddest"
    )


def _fingerprint(images: Examples) -> int:
    value = 0
    for start, stop in chunks.spans(len(images), _IMAGES_AT_ONCE):
        value = zlib.crc32(images[start:stop].tobytes(), value)
    return value
