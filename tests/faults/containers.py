"""Compressed files with right checksums and wrong headers, and damaged ones."""

import dataclasses
import struct
import zlib

from faults.rows import damage, flipped, line, ok

KIND = "compressed files"
DECOMPRESS = (
    "decompress",
    "--model_dir={0.shared.model_dir}",
    "--input={0.compressed}",
    "--output={0.folder}/out.npz",
)
# The fields after the magic bytes and the length: see `biva_tf.compression.container`.
_FIELDS = struct.Struct("<8sQHHBBHIIHH")
_AT = 7
_NAMES = (
    *("model", "images", "height", "width", "channels", "form", "rows", "block"),
    *("seed", "threads", "latents"),
)


def _forged(**values):
    """Changes fields of the header, and makes its checksum right."""

    def change(old):
        length = int.from_bytes(old[5:7], "little")
        numbers = dict(zip(_NAMES, _FIELDS.unpack(old[_AT : _AT + _FIELDS.size]), strict=True))
        assert values.keys() <= numbers.keys()
        fields = _FIELDS.pack(*(numbers | values).values())
        header = old[:_AT] + fields + old[_AT + _FIELDS.size : _AT + length]
        checksum = zlib.crc32(header).to_bytes(4, "little")
        assert old[_AT + length : _AT + length + 4] == zlib.crc32(old[: _AT + length]).to_bytes(
            4, "little"
        )
        return header + checksum + old[_AT + length + 4 :]

    return change


def _nothing_written(place):
    assert not (place.folder / "out.npz").exists(), "a result was written"


_HEADERS = (
    ({"images": 0}, False),
    ({"images": 2**63}, False),
    ({"images": 9}, True),
    ({"images": 11}, True),
    ({"images": 10**7}, False),
    ({"height": 0}, True),
    ({"height": 29}, False),
    ({"width": 65535}, True),
    ({"channels": 0}, True),
    ({"channels": 3}, True),
    ({"form": 77}, False),
    ({"rows": 0}, False),
    ({"rows": 65535}, True),
    ({"block": 0}, False),
    ({"block": 2**32 - 1}, True),
    ({"block": 3}, True),
    ({"threads": 0}, True),
    ({"threads": 65535}, True),
    ({"latents": 0}, False),
    ({"latents": 65535}, True),
    ({"model": b"12345678"}, False),
)

FAULTS = [
    *(
        line(
            f"a header with {', '.join(f'{k}={v!r}' for k, v in values.items())}",
            KIND,
            DECOMPRESS,
            r"ten\.biva",
            arrange=damage("{0.compressed}", _forged(**values)),
            check=_nothing_written,
            slow=slow,
            seconds=40,
        )
        for values, slow in _HEADERS
    ),
    *(
        line(
            name,
            KIND,
            DECOMPRESS,
            r"ten\.biva",
            arrange=damage("{0.compressed}", change),
            check=_nothing_written,
            slow=slow,
        )
        for name, change, slow in (
            ("empty", lambda _: b"", False),
            ("cut in the header", lambda old: old[:30], True),
            ("cut in a block", lambda old: old[:-20], True),
            ("a bit is flipped", flipped, True),
            ("other bytes", lambda old: bytes(len(old)), True),
            ("more at its end", lambda old: old + b"more", True),
        )
    ),
    ok(
        "sound",
        KIND,
        DECOMPRESS,
        slow=True,
    ),
]
FAULTS = [dataclasses.replace(fault, needs="constriction") for fault in FAULTS]
