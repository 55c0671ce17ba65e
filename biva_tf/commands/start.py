"""The start of a command: flags, devices, and errors in one line with an exit code.

Nothing here imports TensorFlow before the flags are read: `--help`, and the answer to wrong flags,
do not wait for it. So the modules of commands import it in `run` alone.
"""

import contextlib
import ctypes
import dataclasses
import functools
import sys
from collections.abc import Callable

from absl import app

from biva_tf import quiet
from biva_tf.commands import endings, flags
from biva_tf.errors import SettingsError
from biva_tf.model import user_code
from biva_tf.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class CommonSettings(Settings):
    """The settings of all commands."""

    traceback: bool = setting(
        False, "If the command ends with an error, print where in the program it came from, too."
    )
    code: tuple[str, ...] | None = setting(
        None,
        "Your own files that register parts of models, FILE.py or MODULE, which are run first.",
    )


def start(
    name: str,
    settings: type[Settings],
    body: Callable[..., int | None],
    read: Callable[[], Settings] | None = None,
    *,
    passes_arguments: bool = False,
    sets_devices_up: bool = False,
) -> None:
    """Defines the flags of a command, parses them, and runs it.

    The flag --code of every command names a user's own files, which are run before the rest.
    Every error becomes one line on standard error, in which settings are flags, and an exit code
    that is not 0; see `endings.end`. The flag --traceback of every command shows more.

    Args:
      name: the command's name, for its messages.
      settings: its settings dataclass.
      body: takes the settings; may return an exit code.
      read: gives the settings from the parsed flags; by default `flags.read(settings)`.
      passes_arguments: whether `body` also takes the arguments after the flags; without it they are
        an error.
      sets_devices_up: whether `body` says how TensorFlow sets the devices up, before anything uses
        them: the logical devices that the CPU is split into, or the number of threads.
    """
    flags.define(settings)
    flags.define(CommonSettings)

    def main(argv: list[str]) -> int:
        if len(argv) > 1 and not passes_arguments:
            print(f"{name}: unexpected arguments: {' '.join(argv[1:])}", file=sys.stderr)
            return 2
        try:
            for code in flags.read(CommonSettings).code or ():
                user_code.run(code)
            # Before TensorFlow is imported, so that the answer to mistakes comes at once.
            values = flags.read(settings) if read is None else read()
            values.check_files()
            set_up_process()
            if not sets_devices_up:
                initialise_devices()
            code = (body(values, argv[1:]) if passes_arguments else body(values)) or 0
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where a full disk can still be told
            return code
        except (Exception, KeyboardInterrupt) as e:
            return endings.end(name, e, show=flags.read(CommonSettings).traceback)

    program = sys.modules["__main__"]
    # An installed script has no docstring, which --help shows.
    program.__doc__ = program.__doc__ or sys.modules[body.__module__].__doc__
    argv = sys.argv
    given = argv[: argv.index("--")] if "--" in argv else argv
    if "--help" in given[1:]:  # absl's own flag ends with exit code 1
        app.usage(shorthelp=True, writeto_stdout=True, exitcode=0)
    app.run(main, argv, flags_parser=functools.partial(_parse, name))


def _parse(name: str, argv: list[str]) -> list[str]:
    """The arguments that are not flags. Ends the program if a flag is wrong, with one line."""
    try:
        return flags.parse(argv)
    except SettingsError as e:
        print(f"{name}: {e.with_flags()}; --help lists the flags", file=sys.stderr)
        sys.exit(e.exit_code)


def set_up_process() -> None:
    """Sets the process up for speed, and keeps the warnings of libraries off the terminal."""
    from biva_tf.nn import graphs

    quiet.warnings()
    graphs.disable_rewriting_on_cpu()
    keep_freed_memory()


def initialise_devices() -> None:
    """Lets TensorFlow set its devices up now, without its notes about them.

    They cannot be split into logical devices afterwards.
    """
    import tensorflow as tf

    with quiet.start_up_notes():
        tf.config.list_logical_devices()


def compute_with_threads(number: int) -> None:
    """Computes every operation with a number of threads, if devices are not set up yet.

    The last bits of a sum can depend on it.
    """
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # they are set up
        tf.config.threading.set_intra_op_parallelism_threads(number)
    initialise_devices()


def keep_freed_memory() -> None:
    """Makes the C library keep freed memory, if it is glibc.

    By default glibc gives large blocks back to the system and later asks for new pages. A step that
    allocates the same gigabytes of tensors every time pays for that.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        mmap_max, trim_threshold = -4, -1  # as in malloc.h
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)  # the largest, once converted to unsigned
