"""The scores of a part as a Parquet file."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from biva_tf.batch_scoring.parts import PartImages, Skipped
from biva_tf.evaluation import columns

_SKIPPED = b"biva_tf.skipped"  # a key of the file's metadata


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
    images: PartImages, scored: Mapping[str, np.ndarray], codes: Mapping[str, np.ndarray]
) -> bytes:
    """A Parquet file with one row per image, and the skipped images in its metadata.

    Args:
      images: the part's images.
      scored: of `scores`.
      codes: the mean of each latent's posterior, float32 [n, ...], by name; each becomes a column
        of lists, with its shape in the metadata of the column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

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
    skipped = json.dumps([dataclasses.asdict(each) for each in images.skipped]).encode()
    schema = pa.schema(fields, metadata={_SKIPPED: skipped})
    content = pa.BufferOutputStream()
    table = pa.Table.from_arrays([array for _, array, _ in columns], schema=schema)
    pq.write_table(table, content, compression="zstd")
    return content.getvalue().to_pybytes()


@dataclasses.dataclass(frozen=True)
class PartResult:
    """What a file of `parquet` says about its part.

    Attributes:
      bounds: L_K of every image that was scored, nats.
      skipped: the others.
    """

    bounds: np.ndarray
    skipped: tuple[Skipped, ...]

    def __len__(self) -> int:
        return len(self.bounds) + len(self.skipped)


def result(file) -> PartResult:
    """Reads what a file says; raises OSError or ValueError if it is not one of `parquet`."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as opened:
        metadata = opened.schema_arrow.metadata or {}
        if _SKIPPED not in metadata:
            raise ValueError("not a file of scores")
        skipped = tuple(Skipped(**each) for each in json.loads(metadata[_SKIPPED]))
        return PartResult(opened.read([columns.BOUND])[columns.BOUND].to_numpy(), skipped)
