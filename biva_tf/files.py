"""Files that are written whole or not at all; JSON files, read with a reason if they cannot be."""

import contextlib
import errno
import glob
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from biva_tf.errors import UserError

_NUMBERS = {os.strerror(number): number for number in errno.errorcode}
# As TensorFlow says it: FILE; No space left on device
_IN_WORDS = re.compile(
    rf"(?:.*(?:\}}\}} |: ))?(?P<file>[^;\n]+); (?P<words>{'|'.join(map(re.escape, _NUMBERS))})\b"
)
_CANNOT_RESERVE = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)


def temporary_beside(path: Path) -> Path:
    """A new name in the same folder, for what becomes `path` once it is whole.

    No other process has it, on this host or on another one.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that neither a reader nor a kill ever leaves half of it visible.

    Raises:
      OSError: it cannot be written; what was there before is still there, and nothing else.
    """
    temporary = temporary_beside(path)
    try:
        with naming(path):
            temporary.write_bytes(content)
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


class JsonError(ValueError):
    """A JSON file that cannot be read; the message says what is wrong with it."""


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
      FileNotFoundError: there is none.
      JsonError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except IsADirectoryError as e:
        raise JsonError("expected a file, got a folder") from e
    except OSError as e:
        raise JsonError(f"it cannot be read: {e.strerror}") from e
    return parse_json(content)


def parse_json(content: bytes) -> Any:
    """The value that the bytes of a JSON file, or a line of one, stand for.

    Raises:
      JsonError: they are no JSON.
    """
    if not content.strip():
        raise JsonError("it is empty")
    if not content.strip(b"\0 \n"):
        raise JsonError("expected JSON, got zero bytes")
    try:
        return json.loads(content.decode())
    except UnicodeDecodeError as e:
        raise JsonError(f"expected UTF-8, got other bytes from the place {e.start} on") from e
    except RecursionError as e:
        raise JsonError("expected JSON, got brackets that are nested too deeply") from e
    except ValueError as e:
        raise JsonError(f"expected JSON ({e})") from e


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes a JSON file atomically."""
    write_atomically(path, (json.dumps(values, indent=2) + "\n").encode())


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Makes errors of the operating system name a file that is being written.

    It takes the place of no name, and of that of a temporary file beside it or in it. The errors
    are also those that TensorFlow says in words.
    """
    try:
        yield
    except Exception as e:
        error = system_error(e)
        if error is None:
            raise
        if str(error.filename or path).startswith(str(path.parent)):
            error = OSError(error.errno, error.strerror, str(path))
        raise error from e


def system_error(error: BaseException) -> OSError | None:
    """The error of the operating system that an error is, or that TensorFlow says in its words.

    None if it is of another kind.
    """
    if isinstance(error, UserError):
        return None  # it says enough
    if isinstance(error, OSError):
        return error if error.errno else None
    found = _IN_WORDS.search(str(error))
    if found is None:
        return None
    return OSError(_NUMBERS[found["words"]], found["words"], found["file"])


def reserve(path: Path) -> None:
    """Gives every byte of a file its place on the disk.

    To write a memory map over a file without that ends the process by SIGBUS if the disk is full.

    Raises:
      OSError: there is no room.
    """
    with naming(path), open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except (
            AttributeError,
            OSError,
        ) as e:  # some systems, and some file systems, do not have it
            if getattr(e, "errno", errno.ENOSYS) not in _CANNOT_RESERVE:
                raise
            if shutil.disk_usage(path).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from e


def remove_remains(*paths: Path) -> None:
    """Removes what a killed process has left of files that it was writing atomically."""
    for path in paths:
        remove(path.parent.glob(f".{glob.escape(path.name)}.*.tmp"))


def remove(paths: Iterable[Path]) -> None:
    """Removes files and folders that a failed or killed process has left."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
