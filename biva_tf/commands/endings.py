"""How a command ends with an error: one line that says what happened and what to do, no traceback.

The last net of all commands, behind the messages that each kind of file and setting has of its own.
Nothing here imports TensorFlow: its errors can only come where it is imported already.
"""

import contextlib
import errno
import os
import re
import shlex
import sys
import tempfile
import time
import traceback
from pathlib import Path

from absl import flags

from biva_tf.errors import UserError
from biva_tf.files import system_error, write_atomically
from biva_tf.version import __version__

_ADVICE = {
    errno.ENOSPC: "make room there, and run the same command again",
    errno.EDQUOT: "make room there, and run the same command again",
    errno.EFBIG: "raise the limit (ulimit -f), and run the same command again",
    errno.EMFILE: "raise the limit (ulimit -n), and run the same command again",
    errno.EROFS: "name a place that can be written",
    errno.EACCES: "its permissions have to allow it, or name another place",
    errno.EPERM: "its permissions have to allow it, or name another place",
    errno.EIO: "the disk has failed, or the network that it is behind",
    errno.ESTALE: "the disk has failed, or the network that it is behind",
    errno.ENOMEM: "free memory, and run the same command again",
    errno.EPIPE: "what reads the output has ended",
}
# Settings that make a command need less memory where they are less.
_OF_MEMORY = ("batch_size", "max_rows", "part_size", "iw_samples")
# The operations of TensorFlow that read files.
_READING = re.compile(r"Op:(IteratorGetNext|ReadFile|Decode|Restore|ParseExample|ParseSingle)")
_LONGEST = 400  # characters of another library's message


def end(name: str, error: BaseException, *, show: bool) -> int:
    """Says in one line on standard error what ended a command, and returns its exit code.

    An error that nobody foresaw leaves its traceback in a file: traceback-NAME.txt in the folder of
    the run, or a file in the temporary folder if there is none.

    Args:
      name: the command's name.
      error: what ended it.
      show: whether to print the traceback too.
    """
    text = "".join(traceback.format_exception(error))
    if show:
        _print(text.rstrip())
    code, said = 1, _foreseen(error)
    if isinstance(error, UserError):
        code = error.exit_code
    elif isinstance(error, KeyboardInterrupt):
        code = 130
    elif said is None:
        path = _kept(name, text)
        where = f" Its traceback is in {path};" if path else ""
        kind = type(error).__name__
        said = f"an error of the program: {kind}: {_line(error)}.{where} --traceback shows it"
    _print(f"{name}: {said}")
    _give_up_output()
    return code


def _foreseen(error: BaseException) -> str | None:
    """What happened, in a line; None if it is an error of the program."""
    if isinstance(error, UserError):
        return error.with_flags()
    if isinstance(error, KeyboardInterrupt):
        return "SIGINT: stopped"
    if isinstance(error, MemoryError):
        return _of_memory(error)
    of_system = error if isinstance(error, OSError) else system_error(error)
    return _of_tensorflow(error) if of_system is None else _of_system(of_system)


def _of_system(error: OSError) -> str:
    named = [os.fspath(n) for n in (error.filename, error.filename2) if isinstance(n, str | Path)]
    said = error.strerror if isinstance(error.strerror, str) else _line(error)
    advice = _ADVICE.get(error.errno or 0)
    return ": ".join([" -> ".join(named), said] if named else [said]) + (
        f"; {advice}" if advice else ""
    )


def _of_memory(error: BaseException) -> str:
    known = [f"--{name}" for name in _OF_MEMORY if name in flags.FLAGS]
    less = f", or with a smaller {' or '.join(known)}" if known else ""
    details = f" ({_line(error)})" if str(error) else ""
    return f"there is not enough memory{details}; try again where more is free{less}"


def _of_tensorflow(error: BaseException) -> str | None:
    errors = getattr(sys.modules.get("tensorflow"), "errors", None)
    if errors is None or not isinstance(error, errors.OpError):
        return None
    if isinstance(error, errors.ResourceExhaustedError):
        return _of_memory(error)
    if isinstance(error, errors.UnavailableError):
        return f"a device or a host cannot be reached: {_line(error)}"
    if isinstance(error, errors.DataLossError):
        return f"a file is damaged: {_line(error)}"
    if _READING.search(str(error)):
        return f"a file cannot be read: {_line(error)}"
    return None


def _line(error: BaseException) -> str:
    """Another library's message in one line, without the names that TensorFlow has for its parts.

    All that it says of a file or a shape is at its beginning.
    """
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]( name: )?", "", str(error))
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _kept(name: str, text: str) -> Path | None:
    """Writes a traceback to a file and returns its path; None if there is no place for it."""
    when = time.strftime("%Y-%m-%d %H:%M:%S %z")
    content = f"{when}\nbiva_tf {__version__}, Python {sys.version}\n{shlex.join(sys.argv)}\n{text}"
    folder = flags.FLAGS["model_dir"].value if "model_dir" in flags.FLAGS else None
    try:
        if folder and Path(folder).is_dir():
            path = Path(folder, f"traceback-{name}.txt")
            write_atomically(path, content.encode())
            return path
    except OSError:
        pass  # the folder may be full, or of another user
    try:
        descriptor, temporary = tempfile.mkstemp(".txt", f"biva_tf-{name}-")
        with open(descriptor, "w") as file:
            file.write(content)
        return Path(temporary)
    except OSError:
        return None


def _print(text: str) -> None:
    with contextlib.suppress(OSError):  # there is nobody who reads it
        print(text, file=sys.stderr, flush=True)


def _give_up_output() -> None:
    """Drops output that cannot be written, of which Python would complain once more at its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
