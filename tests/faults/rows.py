"""Short ways to write the rows of the table."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from conftest import train_args

from faults.fault import Fault, Outcome
from faults.place import Place

EVALUATE = ("evaluate", "--model_dir={0.run}", "--iw_samples=2", "--num_examples=8")
TRAIN = ("train", *train_args("{0.run}", "{0.shared.spec}")[2:])  # goes on with the run
PREPARE = (
    "prepare_data",
    "--dataset=image_folder",
    "--source={0.folder}/pictures",
    "--data_dir={0.folder}/data",
)


def line(name: str, kind: str, command, *words: str, **others) -> Fault:
    """A fault of which a command has to tell in one line that has these words."""
    return Fault(name, kind, tuple(command), Outcome.LINE, words, **others)


def ok(name: str, kind: str, command, **others) -> Fault:
    """A fault in spite of which a command has to do what it was asked."""
    return Fault(name, kind, tuple(command), Outcome.OK, **others)


def new_run(*changes: str) -> tuple[str, ...]:
    """The command that trains a new run, with these flags changed."""
    return ("train", *train_args("{0.folder}/new", "{0.shared.spec}", *changes)[2:])


def both(*steps: Callable[[Place], None]) -> Callable[[Place], None]:
    """Takes one step after another in the place: arrangements, or checks."""

    def take(place):
        for step in steps:
            step(place)

    return take


def put(path: str, content: bytes | str) -> Callable[[Place], None]:
    """Writes a file; `{0}` in the path is the place. Its folder is made."""

    def arrange(place):
        target = Path(path.format(place))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    return arrange


def damage(path: str, change: Callable[[bytes], bytes]) -> Callable[[Place], None]:
    """Changes what a file has."""

    def arrange(place):
        target = Path(path.format(place))
        target.write_bytes(change(target.read_bytes()))

    return arrange


def folder_in_place_of(path: str) -> Callable[[Place], None]:
    """Puts a folder where a file is."""

    def arrange(place):
        target = Path(path.format(place))
        target.unlink(missing_ok=True)
        target.mkdir(parents=True)

    return arrange


def set_json(path: str, **values) -> Callable[[Place], None]:
    """Sets fields of a JSON file."""
    return damage(path, lambda old: json.dumps(json.loads(old) | values).encode())


def without(path: str) -> Callable[[Place], None]:
    """Removes a file or a folder."""

    def arrange(place):
        target = Path(path.format(place))
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    return arrange


def flipped(content: bytes, at: float = 0.5) -> bytes:
    """The content with a bit flipped, at this fraction of its length."""
    changed = bytearray(content)
    changed[int(at * len(changed))] ^= 16
    return bytes(changed)


def small_disk(name: str, kilobytes: int, content: str | None = None) -> Callable[[Place], None]:
    """Mounts a disk of a few kilobytes at a folder of the place; see `grow`.

    Where nothing may be mounted, the command can write no file larger than that.

    Args:
      name: the folder's name.
      kilobytes: the room that is left.
      content: a folder that the disk begins with, `{0}` is the place.
    """

    def arrange(place):
        folder = place.folder / name
        folder.mkdir()
        if (_mount(place, folder, "size=64m") and content is not None) or content is not None:
            shutil.copytree(content.format(place), folder, dirs_exist_ok=True)
        if place.mounted:
            if not kilobytes:  # a size of 0 would be no limit
                (folder / "full").write_bytes(bytes(4096))
            used = sum(-(-p.stat().st_size // 4096) * 4 for p in folder.rglob("*") if p.is_file())
            _remount(folder, f"size={used + kilobytes}k")
        else:
            place.limits["RLIMIT_FSIZE"] = max(kilobytes, 1) * 1024  # for what it says

    return arrange


def grow(name: str) -> Callable[[Place], None]:
    """Gives a small disk room."""

    def mend(place):
        if place.mounted:
            _remount(place.folder / name, "size=64m")
        place.limits.clear()

    return mend


def read_only_disk(name: str, content: str | None = None) -> Callable[[Place], None]:
    """Mounts a disk that cannot be written; the trial is skipped where nothing may be mounted."""

    def arrange(place):
        small_disk(name, 4096, content)(place)
        if not place.mounted:
            place.skip("may not mount a disk")
        _remount(place.folder / name, "ro")

    return arrange


def _mount(place, folder, options) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if mounted:
        place.mounted.append(folder)
    return mounted


def _remount(folder, options):
    command = ["mount", "-o", f"remount,{options}", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
