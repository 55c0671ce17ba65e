"""Results in JSON files: evaluate, anomaly and classify write them, a report reads them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from biva_tf import artefacts
from biva_tf.errors import UserError
from biva_tf.evaluation.classes import Classification
from biva_tf.evaluation.detection import Detection
from biva_tf.evaluation.scoring_config import ScoringConfig
from biva_tf.evaluation.summary import EvaluationSummary, LatentSummary, Mean
from biva_tf.files import write_json

Means = dict[int, tuple[Mean, Mean]]  # by k: the means of the model's data set and of the other


class RecordError(UserError, ValueError):
    """A file that is not the result of an evaluation; the message names it."""


@dataclasses.dataclass(frozen=True)
class EvaluationRecord:
    """What `biva_tf.evaluate` found.

    Attributes:
      dataset, split: the scored images.
      weights_step: the step that the weights are from.
      settings: all that the scores depend on.
      summary: the reported numbers.
    """

    dataset: str
    split: str
    weights_step: int
    settings: ScoringConfig
    summary: EvaluationSummary

    def to_plain(self) -> dict[str, Any]:
        """The content of its file. The numbers are beside the other fields."""
        plain = dataclasses.asdict(self)
        plain |= plain.pop("summary")
        for latent in plain["latents"]:
            if latent["closed_kl_nats"] is None:
                del latent["closed_kl_nats"]
        return plain

    @staticmethod
    def from_plain(plain: dict[str, Any]) -> "EvaluationRecord":
        """The opposite of `to_plain`."""
        fields = dataclasses.fields(EvaluationSummary)
        summary: dict[str, Any] = {f.name: plain.get(f.name) for f in fields}
        summary |= {name: Mean(**summary[name]) for name in ("l_1", "l_k")}
        summary |= {
            name: {int(k): Mean(**mean) for k, mean in summary[name].items()}
            for name in ("above", "llr")
        }
        summary["latents"] = tuple(LatentSummary(**latent) for latent in summary["latents"])
        return EvaluationRecord(
            plain["dataset"],
            plain["split"],
            plain["weights_step"],
            ScoringConfig(**plain["settings"]),
            EvaluationSummary(**summary),
        )


@dataclasses.dataclass(frozen=True)
class AnomalyRecord:
    """What `biva_tf.anomaly` found.

    Attributes:
      in_dataset, out_dataset: the data set that the model knows, and the other.
      examples: of each.
      weights_step: the step that the weights are from.
      settings: all that the scores depend on.
      above: L^{>k}.
      bounds_above: L_K^{>k}; empty if K = 1.
      detection: by the name of the score.
    """

    in_dataset: str
    out_dataset: str
    examples: tuple[int, int]
    weights_step: int
    settings: ScoringConfig
    above: Means
    bounds_above: Means
    detection: dict[str, Detection]

    def to_plain(self) -> dict[str, Any]:
        """The content of its file."""
        plain = dataclasses.asdict(self)
        names = {"above": "L_above", "bounds_above": "L_K_above"}
        return {names.get(name, name): value for name, value in plain.items()}

    @staticmethod
    def from_plain(plain: dict[str, Any]) -> "AnomalyRecord":
        """The opposite of `to_plain`."""

        def means(name: str) -> Means:
            of_k = plain.get(name, {})  # files of earlier versions lack L_K_above
            return {int(k): (Mean(**a), Mean(**b)) for k, (a, b) in of_k.items()}

        return AnomalyRecord(
            plain["in_dataset"],
            plain["out_dataset"],
            tuple(plain["examples"]),
            plain["weights_step"],
            ScoringConfig(**plain["settings"]),
            means("L_above"),
            means("L_K_above"),
            {name: Detection(**detection) for name, detection in plain["detection"].items()},
        )


@dataclasses.dataclass(frozen=True)
class ClassificationRecord:
    """What `biva_tf.classify` found.

    Attributes:
      dataset, split: the classified images.
      weights_step: the step that the weights are from.
      num_samples: samples of the bottom-up latents per image.
      seed: the seed of the samples.
      summary: the reported numbers.
    """

    dataset: str
    split: str
    weights_step: int
    num_samples: int
    seed: int
    summary: Classification

    def to_plain(self) -> dict[str, Any]:
        """The content of its file. The numbers are beside the other fields."""
        plain = dataclasses.asdict(self)
        plain |= plain.pop("summary")
        return plain | {"confusion": self.summary.confusion.tolist()}

    @staticmethod
    def from_plain(plain: dict[str, Any]) -> "ClassificationRecord":
        """The opposite of `to_plain`."""
        summary = {field.name: plain[field.name] for field in dataclasses.fields(Classification)}
        summary["confusion"] = np.array(summary["confusion"])
        names = ("dataset", "split", "weights_step", "num_samples", "seed")
        return ClassificationRecord(
            **{name: plain[name] for name in names}, summary=Classification(**summary)
        )


Record = EvaluationRecord | AnomalyRecord | ClassificationRecord

_KINDS: dict[str, type[Record]] = {
    "evaluation": EvaluationRecord,
    "anomaly": AnomalyRecord,
    "classification": ClassificationRecord,
}
# A field that the others lack, by which a record of biva_tf 0.1 is known.
_FIELDS = {"l_1": "evaluation", "detection": "anomaly", "confusion": "classification"}


def write(path: Path, record: Record) -> None:
    """Writes a result, atomically. Makes the folder if it has to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (kind,) = (kind for kind, each in _KINDS.items() if isinstance(record, each))
    write_json(path, artefacts.stamped(kind, record.to_plain()))


def read(path: Path) -> Record:
    """A result that `write` wrote. Raises RecordError if it is none, or cannot be read."""
    try:
        kind, plain = artefacts.load(path, *_KINDS)
        if kind is None:
            (kind,) = (kind for field, kind in _FIELDS.items() if field in plain)
        return _KINDS[kind].from_plain(plain)
    except KeyError as e:
        raise RecordError(f"{path}: expected the field {e}, of the result of an evaluation") from e
    except (OSError, ValueError, TypeError, AttributeError) as e:
        raise RecordError(f"{path}: expected the result of an evaluation ({e})") from e
