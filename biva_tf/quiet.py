"""Keeps TensorFlow's start-up notes off the terminal.

TF 2.21 writes them before it looks at TF_CPP_MIN_LOG_LEVEL, straight to file descriptor 2. A user
who sets that variable to 0, 1 or 2 asks for them and gets them.
"""

import contextlib
import importlib.abc
import importlib.util
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator

import absl.logging

_VARIABLE = "TF_CPP_MIN_LOG_LEVEL"
_NOTE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|To enable the following instructions"
    rb"|[IWE]\d{4} \d\d:\d\d:\d\d\.|[IWE]0000 "
    rb"|\[[-\d]+ [:,\d]+ [IWE] \d+ \d+\] "  # Ray's, of the tools
)


def asked_for_notes() -> bool:
    """Whether the user asked for TensorFlow's notes."""
    return os.environ.get(_VARIABLE, "3") in ("0", "1", "2")


@contextlib.contextmanager
def start_up_notes() -> Iterator[None]:
    """While active, holds back standard error; then writes it without TensorFlow's notes."""
    if asked_for_notes():
        yield
        return
    os.environ.setdefault(_VARIABLE, "3")
    try:
        terminal = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            rest = b"".join(line for line in held if not _NOTE.match(line))
            if rest:
                os.write(2, rest)


def in_program() -> bool:
    """Whether this process is a command: `python -m PACKAGE.MODULE`, being started, or `biva`.

    While Python looks for the module to run, and so imports its package, `sys.argv[0]` is
    "-m".
    """
    program = sys.argv[0] if sys.argv else ""
    return program == "-m" or os.path.basename(program) == "biva"


def start_program() -> None:
    """Makes a command's import of TensorFlow quiet, whenever it comes.

    Does nothing in any other process: file descriptor 2 is the user's there.
    """
    if in_program():
        sys.meta_path.insert(0, _QuietImport())


class _QuietImport(importlib.abc.MetaPathFinder):
    """Finds TensorFlow, once, for an import that holds its notes back."""

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_quietly(module):
                with start_up_notes():
                    execute(module)

            # The loader is this import's own.
            setattr(spec.loader, "exec_module", execute_quietly)  # noqa: B010
        return spec


def warnings() -> None:
    """Turns off the notes and warnings of libraries in Python.

    Above all those of retracing: the functions of `biva_tf.nn.graphs` are traced once per shape,
    which TensorFlow takes for a mistake.
    """
    if not asked_for_notes():
        absl.logging.set_verbosity(absl.logging.ERROR)  # the root logger's level, too
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
