"""A folder that one process at a time writes.

The lock is `flock` on the file `.lock` in the folder. The system releases it when the process ends,
also by a kill, so nothing is left that blocks the next start. On NFS, Linux makes a lock of the
whole file of it (since 2.6.12), which the server gives to one of all its hosts; after a host is
lost, an NFSv4 server waits for its lease, in most cases 90 seconds. Lustre needs the mount option
`flock`. Where there are no locks, or the folder cannot be written, a line says so.
"""

import contextlib
import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from biva_tf.errors import Setting, UserError
from biva_tf.files import naming

NAME = ".lock"
# What says that there can be no lock here: a file system without, or one that cannot be written.
_WITHOUT = (
    *(errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL),
    *(errno.EROFS, errno.EACCES, errno.EPERM),
)


class LockedError(UserError, RuntimeError):
    """Another process writes the folder; the message says which one, and on which host."""


@contextlib.contextmanager
def only_one(folder: Path, named: Setting, what: str) -> Iterator[None]:
    """Holds a folder for this process.

    The folder is made if it is missing, and removed again if it is still empty at the end.

    Args:
      folder: the folder.
      named: the setting that names it, for the message.
      what: what is done there, for the message: "training".

    Raises:
      LockedError: another process holds it.
      UserError: the folder cannot be made, or is a file.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as e:
        raise UserError(named, ": expected a folder, got a file") from e
    except OSError as e:
        raise UserError(named, f": cannot make the folder ({e})") from e
    try:
        with _locked(folder / NAME, named, what):
            yield
    finally:
        with contextlib.suppress(OSError):
            for path in missing:
                path.rmdir()


@contextlib.contextmanager
def _locked(path: Path, named: Setting, what: str) -> Iterator[None]:
    try:
        descriptor = _taken(path)
    except BlockingIOError as e:
        raise LockedError(
            named,
            f": {what} is under way there, by {_holder(path)}. Wait for its end, stop it, or name "
            "another folder",
        ) from e
    except OSError as e:
        if e.errno not in _WITHOUT:
            raise
        print(
            f"note: {path.parent} cannot be locked ({e.strerror}); see to it that only one process "
            "writes it",
            file=sys.stderr,
        )
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _taken(path: Path) -> int:
    """The descriptor of the locked file. BlockingIOError if another process has the lock."""
    while True:
        with naming(path):
            # Not for reading alone: on NFS only a file that is open for writing can be locked.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if _has_lock(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _has_lock(path: Path, descriptor: int) -> bool:
    """Locks an open file and writes who has it; False if the holder before has removed the file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except PermissionError as e:  # as some network disks say that another process has it
        raise BlockingIOError(errno.EAGAIN, e.strerror) from e
    if not _is(path, descriptor):
        return False
    try:
        with naming(path):
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{socket.gethostname()} {os.getpid()}\n".encode())
    except OSError:
        path.unlink()
        raise
    return True


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    """The process that has the lock, as its file says."""
    try:
        host, number = path.read_text().split()
    except (OSError, ValueError):  # it is being written, or a server lets no one else read it
        return "another process"
    return f"process {number} on {host}"
