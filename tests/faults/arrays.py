"""Arrays from outside: forged headers, other layouts, types that are no numbers."""

import io
import zipfile

import numpy as np

from faults.place import pixels
from faults.rows import line, ok

KIND = "arrays"
COMPRESS = (
    "compress",
    "--model_dir={0.shared.model_dir}",
    "--input={0.folder}/x{1}",
    "--output={0.folder}/x.biva",
)
PREPARE = (
    "prepare_data",
    "--dataset=image_folder",
    "--source={0.folder}/x{1}",
    "--data_dir={0.folder}/data",
)


def _npy(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def _npz(**arrays):
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def _header(text, data=b""):
    """An .npy file with any header."""
    padded = text + " " * (117 - len(text)) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode() + data


def _claims(shape, kind="|u1", order="False"):
    return _header(f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}")


def _zip(name, content, times=1):
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        for _ in range(times):
            member.write(content)
    return file.getvalue()


X = pixels(10)
GREY = np.random.default_rng(0).integers(0, 256, X.shape).astype(np.uint8)
BAD = {  # the file's ending, and what it has
    "claims 700 GB": (".npy", _claims((10**9, 28, 28))),
    "claims 10^30 bytes": (".npy", _claims((10**15, 10**15))),
    "negative lengths": (".npy", _claims((-3, 28, 28))),
    "an .npz that claims 700 GB": (".npz", _zip("images.npy", _claims((10**9, 28, 28)))),
    "cut": (".npy", _npy(X)[:-100]),
    "an .npz, cut": (".npz", _npz(images=X)[:-100]),
    "an .npz of damaged bytes": (".npz", _npz(images=GREY).replace(GREY.tobytes()[:1], b"\0", 9)),
    "empty": (".npy", b""),
    "an empty .npz": (".npz", b""),
    "no images": (".npy", _npy(X[:0])),
    "strings": (".npy", _npy(np.array(["a", "b"]))),
    "objects": (".npy", _npy(np.array([None, {}], object))),
    "structs": (".npy", _npy(np.zeros((3, 28, 28), [("a", "u1"), ("b", "f4")]))),
    "complex numbers": (".npy", _npy(X.astype(np.complex64))),
    "NaN": (".npy", _npy(np.where(X > 0, np.nan, 0.0))),
    "one number": (".npy", _npy(np.array(3))),
    "other sizes": (".npy", _npy(X[:, :20])),
    "a header that is no Python": (".npy", _header("import os")),
    "a header a thousand deep": (".npy", _header("(" * 55 + ")" * 55)),
}
QUICK = ("claims 700 GB", "an .npz that claims 700 GB", "strings", "objects", "cut", "NaN")


def _file(ending, content):
    def arrange(place):
        (place.folder / f"x{ending}").write_bytes(content)

    return arrange


def _filled(command, ending):
    return tuple(part.replace("{1}", ending) for part in command)


def _back(place):
    """What was written decompresses to the images."""
    result = place.run_command(
        "decompress",
        f"--model_dir={place.shared.model_dir}",
        f"--input={place.folder / 'x.biva'}",
        f"--output={place.folder / 'back.npz'}",
    )
    assert result.returncode == 0, result.stderr[-500:]
    found = np.load(place.folder / "back.npz")["images"]
    assert (np.squeeze(found) > 0).tolist() == (X > 0).tolist(), "other images came back"


_BOMB = _zip("images.npy", bytes(2**20), times=1024)

FAULTS = [
    *(
        line(
            f"{command[0]}: {name}",
            KIND,
            _filled(command, ending),
            rf"x\{ending}",
            arrange=_file(ending, content),
            slow=command is not COMPRESS or name not in QUICK,
        )
        for command in (COMPRESS, PREPARE)
        for name, (ending, content) in BAD.items()
        # Of any numbers, and of any sizes, a data set is made.
        if command is COMPRESS or name not in ("other sizes",)
    ),
    *(
        ok(
            f"compress: {name}",
            KIND,
            _filled(COMPRESS, ".npy"),
            arrange=_file(".npy", content),
            check=_back,
            slow=True,
        )
        for name, content in (
            ("Fortran's order", _npy(np.asfortranarray(X))),
            ("zeros and ones", _npy((X > 0).astype(np.int64))),
            ("floats", _npy((X / 255).astype(np.float64))),
            ("big-endian", _npy((X > 0).astype(">i4"))),
            ("booleans", _npy(X > 0)),
        )
    ),
    line(
        "compress: a zip bomb",
        KIND,
        _filled(COMPRESS, ".npz"),
        r"x\.npz",
        arrange=_file(".npz", _BOMB),
        slow=True,
    ),
    ok(
        "compress: an .npy named .npz",
        KIND,
        _filled(COMPRESS, ".npz"),
        arrange=_file(".npz", _npy(X)),
        slow=True,
    ),
]
