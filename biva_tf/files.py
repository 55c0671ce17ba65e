"""Files that are written whole or not at all."""

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_NUMBERS = {os.strerror(number): number for number in errno.errorcode}
# As TensorFlow says it: FILE; No space left on device
_IN_WORDS = re.compile(
    rf"(?:.*(?:\}}\}} |: ))?(?P<file>[^;\n]+); (?P<words>{'|'.join(map(re.escape, _NUMBERS))})\b"
)
_BLOCK = 2**20


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


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes a JSON file atomically."""
    write_atomically(path, (json.dumps(values, indent=2) + "\n").encode())


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Makes errors of the operating system name a file, those that TensorFlow has in words too."""
    try:
        yield
    except Exception as e:
        error = system_error(e)
        if error is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from e


def system_error(error: BaseException) -> OSError | None:
    """The error of the operating system that an error is, or that TensorFlow says in its words.

    None if it is of another kind.
    """
    if isinstance(error, OSError):
        return error if error.errno else None
    found = _IN_WORDS.search(str(error))
    if found is None:
        return None
    return OSError(_NUMBERS[found["words"]], found["words"], found["file"])


def reserve(path: Path, size: int) -> None:
    """Makes a file of zeros whose every byte has its place on the disk.

    A memory map over a file without that ends the process by SIGBUS where the disk is full.

    Raises:
      OSError: there is no room; the file is not left behind.
    """
    try:
        with naming(path), open(path, "wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as e:
                if e.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
                for start in range(0, size, _BLOCK):  # a file system that cannot reserve
                    file.write(bytes(min(_BLOCK, size - start)))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def remove(paths: Iterable[Path]) -> None:
    """Removes files and folders that a failed or killed process has left."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
