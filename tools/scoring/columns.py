"""The scores of a part as a Parquet file."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tools.scoring.parts import Images, Skipped

BOUND = "L_K_nats"
_SKIPPED = b"biva_tf.skipped"  # a key of the file's metadata

# The names of `biva_tf.evaluate --scores`, by the outputs of the signature that are not lists.
_OF_OUTPUTS = {
    "bound_nats": BOUND,
    "bits_per_dim": "bits_per_dim",
    "elbo_nats": "L_1_nats",
    "reconstruction_nats": "reconstruction_nats",
}


def scores(
    outputs: Mapping[int, Mapping[str, np.ndarray]],
    kl_names: Sequence[str],
    ks: Sequence[int],
) -> dict[str, np.ndarray]:
    """The columns with the scores, float32 [n], by name.

    Args:
      outputs: of the signature `score_numbered`, by k.
      kl_names: of the KL terms, in the order of the signature.
      ks: those of which L^{>k} was asked for.
    """
    first = next(iter(outputs.values()))
    columns = {name: first[output] for output, name in _OF_OUTPUTS.items()}
    columns |= {f"KL_{name}_nats": first["kl_nats"][:, i] for i, name in enumerate(kl_names)}
    columns |= {f"L_above_{k}_nats": outputs[k]["elbo_above_k_nats"] for k in ks}
    return columns | {f"LLR_above_{k}_nats": outputs[k]["llr_above_k_nats"] for k in ks if k}


def parquet(
    images: Images, scored: Mapping[str, np.ndarray], codes: Mapping[str, np.ndarray]
) -> bytes:
    """A Parquet file with one row per image, and the skipped images in its metadata.

    Args:
      images: of the part.
      scored: of `scores`.
      codes: the mean of each latent's posterior, float32 [n, ...], by name; each becomes a column
        of lists, with its shape in the metadata of the column.
    """
    sources = pa.array(images.sources, pa.string()).dictionary_encode()
    columns = [("id", pa.array(images.ids), {}), ("source", sources, {})]
    columns += [("row", pa.array(images.rows), {})]
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
    with pq.ParquetFile(file) as opened:
        metadata = opened.schema_arrow.metadata or {}
        if _SKIPPED not in metadata:
            raise ValueError("not a file of scores")
        skipped = tuple(Skipped(**each) for each in json.loads(metadata[_SKIPPED]))
        return PartResult(opened.read([BOUND])[BOUND].to_numpy(), skipped)
