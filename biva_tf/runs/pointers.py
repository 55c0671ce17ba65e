"""The text file `checkpoint` of TensorFlow, which names the checkpoints of a folder.

Where it is missing or cannot be read, all checkpoints that are there count.
"""

import re
from pathlib import Path

from biva_tf.errors import UserError
from biva_tf.files import write_atomically

_NEWEST = re.compile(r'model_checkpoint_path: "(ckpt-\d+)"')
_ONE = re.compile(r'all_model_checkpoint_paths: "(ckpt-\d+)"')
_TIME = re.compile(r"(all_model_checkpoint_timestamps|last_preserved_timestamp): [\d.e+-]+")


def listed(folder: Path) -> list[str]:
    """The paths of a folder's checkpoints that count, the oldest first."""
    paths = [str(folder / name) for name in _read(folder)]
    if any(Path(f"{path}.index").exists() for path in paths):
        return paths
    return checkpoints_in(folder)


def newest(folder: Path) -> str | None:
    """The path of the newest of them, or None if there is none."""
    paths = listed(folder)
    return paths[-1] if paths else None


def checkpoints_in(folder: Path) -> list[str]:
    """The paths of all checkpoints in a folder, the oldest first."""
    names = [path.stem for path in folder.glob("ckpt-*.index")]
    steps = sorted(int(name[5:]) for name in names if name[5:].isdecimal())
    return [str(folder / f"ckpt-{step}") for step in steps]


def write(folder: Path, paths: list[str]) -> None:
    """Makes these checkpoints the ones that count, the last of them the newest."""
    names = [Path(path).name for path in paths]
    lines = [f'model_checkpoint_path: "{names[-1]}"']
    lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
    # TensorFlow's manager of checkpoints forgets those without a time.
    lines += ["all_model_checkpoint_timestamps: 1.0" for _ in names]
    write_atomically(folder / "checkpoint", ("\n".join(lines) + "\n").encode())


def repair(folder: Path) -> None:
    """Writes the text file anew if it does not name the checkpoints that count.

    Raises:
      UserError: a folder that is not empty is in its place.
      OSError: it cannot be written.
    """
    path, paths = folder / "checkpoint", listed(folder)
    if path.is_dir():
        try:
            path.rmdir()
        except OSError as e:
            raise UserError(f"{path}: expected a file, got a folder; move it away") from e
    if [str(folder / name) for name in _read(folder)] == paths:
        return
    if paths:
        write(folder, paths)
    else:
        path.unlink(missing_ok=True)


def _read(folder: Path) -> list[str]:
    """The names in the text file, the oldest first; none if it is not whole."""
    try:
        lines = (folder / "checkpoint").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    named = [_NEWEST.fullmatch(lines[0])] if lines else []
    found = [(_ONE.fullmatch(line), _TIME.fullmatch(line)) for line in lines[1:]]
    names = [one[1] for one, _ in found if one]
    whole = all(one or time for one, time in found)
    if not (whole and names and named[0] and named[0][1] == names[-1]):
        return []
    return names
