"""Flagfiles: those of the project are found from any folder."""

import difflib
from collections.abc import Sequence
from pathlib import Path

FOLDER = "configs"  # of the project's flagfiles
_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE, _PACKAGE.parent)  # where the folder is in an installation, and in a checkout
_FLAGS = ("--flagfile", "-flagfile")


def found(argv: Sequence[str]) -> list[str]:
    """Arguments in which every --flagfile=configs/NAME can be read, if the project has it.

    --flagfile=mnist_sample stands for --flagfile=configs/mnist_sample.flags. A file in the
    working folder comes before that of the project. What follows "--" is left alone.
    """
    argv = list(argv)
    end = argv.index("--") if "--" in argv else len(argv)
    for i, argument in enumerate(argv[:end]):
        flag, equals, path = argument.partition("=")
        if flag in _FLAGS and equals:
            argv[i] = f"{flag}={_find(path)}"
        elif i and argv[i - 1] in _FLAGS:
            argv[i] = _find(argument)
    return argv


def names() -> list[str]:
    """The names of the project's flagfiles."""
    files = {path.stem for place in _PLACES for path in (place / FOLDER).glob("*.flags")}
    return sorted(files)


def missing(error: OSError) -> str:
    """The message about a flagfile that cannot be read. It lists the project's, nearest first."""
    path = str(error.filename)

    def distance(name: str) -> float:
        return -difflib.SequenceMatcher(None, Path(path).stem, name).ratio()

    listed = ", ".join(sorted(names(), key=distance))
    return f"--flagfile={path}: cannot be read ({error.strerror}); those that ship: {listed}"


def _find(path: str) -> str:
    named = f"{FOLDER}/{path}.flags"
    if not Path(path).exists() and any((place / named).exists() for place in _PLACES):
        path = named
    if Path(path).parts[:1] == (FOLDER,) and not Path(path).exists():
        for place in _PLACES:
            if (place / path).exists():
                return str(place / path)
    return path
