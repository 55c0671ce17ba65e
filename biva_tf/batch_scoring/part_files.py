"""The scores of a part as a Parquet file."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from biva_tf.batch_scoring import sealed
from biva_tf.batch_scoring.parts import PartImages, Skipped
from biva_tf.evaluation import columns

# Keys of the file's metadata.
_SKIPPED = b"biva_tf.skipped"
_ORIGIN = b"biva_tf.origin"


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a part was made from.

    Attributes:
      run: a hash of all that the scores depend on besides the images.
      part: the part's index.
      images: the fingerprint of its images (`parts.Fingerprint`).
    """

    run: str
    part: int
    images: str


def scores(
    outputs: Mapping[int, Mapping[str, np.ndarray]],
    kl_names: Sequence[str],
    ks: Sequence[int],
) -> dict[str, np.ndarray]:
    """The columns with the scores, float32 [n], under the names of `biva_tf.evaluate --scores`.

    Args:
      outputs: the outputs of the signature `score_numbered`, by k.
      kl_names: the names of the KL terms, in the signature's order.
      ks: those of which L^{>k} was asked for.
    """
    first = next(iter(outputs.values()))
    return {
        "bits_per_dim": first["bits_per_dim"],
        **columns.scores(
            first["bound_nats"],
            first["elbo_nats"],
            first["reconstruction_nats"],
            first["kl_nats"],
            kl_names,
            {k: outputs[k]["elbo_above_k_nats"] for k in ks},
            {k: outputs[k]["llr_above_k_nats"] for k in ks if k},
        ),
    }


def parquet(
    images: PartImages,
    scored: Mapping[str, np.ndarray],
    codes: Mapping[str, np.ndarray],
    origin: Origin,
) -> bytes:
    """A Parquet file with one row per image and a checksum (`sealed`).

    Its metadata holds the skipped images, and what the part was made from.

    Args:
      images: the part's images.
      scored: of `scores`.
      codes: the mean of each latent's posterior, float32 [n, ...], by name; each becomes a column
        of lists, with its shape in the metadata of the column.
      origin: what the part was made from.
    """
    import pyarrow as pa

    sources = pa.array(images.sources, pa.string()).dictionary_encode()
    columns: list[tuple[str, Any, dict[str, str]]] = [
        ("id", pa.array(images.ids), {}),
        ("source", sources, {}),
        ("row", pa.array(images.rows), {}),
    ]
    for name, values in scored.items():
        unit = "nats" if name.endswith("_nats") else "bits per dimension"
        columns.append((name, pa.array(values, pa.float32()), {"unit": unit}))
    for name, values in codes.items():
        shape = values.shape[1:]
        flat = pa.array(values.reshape(-1), pa.float32())
        lists = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(shape)))
        columns.append((f"mean_{name}", lists, {"shape": json.dumps(shape)}))
    fields = [pa.field(name, array.type, metadata=about) for name, array, about in columns]
    about = {
        _SKIPPED: json.dumps([dataclasses.asdict(each) for each in images.skipped]).encode(),
        _ORIGIN: json.dumps(dataclasses.asdict(origin)).encode(),
    }
    schema = pa.schema(fields, metadata=about)
    return sealed.parquet(pa.Table.from_arrays([array for _, array, _ in columns], schema=schema))


@dataclasses.dataclass(frozen=True)
class PartResult:
    """What a file of `parquet` says about its part.

    Attributes:
      origin: what it was made from.
      ids: the ids of the images that were scored.
      bounds: L_K of each of them, nats.
      skipped: the others.
    """

    origin: Origin
    ids: np.ndarray
    bounds: np.ndarray
    skipped: tuple[Skipped, ...]

    def __len__(self) -> int:
        return len(self.bounds) + len(self.skipped)


class StrangerError(ValueError):
    """A sound Parquet file that `parquet` has not written."""


def result(content: bytes) -> PartResult:
    """Reads what a file says.

    Raises:
      StrangerError: it is another Parquet file.
      DamageError: it is not what `parquet` wrote.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        sealed.check(content)
    except sealed.DamageError as e:
        if _is_other_parquet(content):
            raise StrangerError("it is a Parquet file of another kind") from e
        raise
    with pq.ParquetFile(pa.BufferReader(content)) as opened:
        metadata = opened.schema_arrow.metadata
        origin = Origin(**json.loads(metadata[_ORIGIN]))
        skipped = tuple(Skipped(**each) for each in json.loads(metadata[_SKIPPED]))
        read = opened.read(["id", columns.BOUND])
        ids, bounds = (read[name].to_numpy() for name in ("id", columns.BOUND))
    return PartResult(origin, ids, bounds, skipped)


def _is_other_parquet(content: bytes) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.BufferReader(content)) as opened:
            return _ORIGIN not in (opened.schema_arrow.metadata or {})
    except (OSError, ValueError):
        return False
