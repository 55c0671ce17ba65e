"""What the commands share: the --model_dir flag, and errors in one line with an exit code."""

import sys
from collections.abc import Callable
from pathlib import Path

from absl import app, flags, logging

from biva_tf.errors import UserError

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "The folder of the run.", required=True)


def model_dir() -> Path:
    """The folder that --model_dir names."""
    return Path(_MODEL_DIR.value)


def integers(flag: str, values: list[str]) -> tuple[int, ...]:
    """The integers of a list flag. Raises UserError naming the flag if they are none."""
    try:
        return tuple(map(int, values))
    except ValueError:
        raise UserError(f"--{flag}: expected integers, got {','.join(values)!r}") from None


def start(name: str, body: Callable[[], None]) -> None:
    """Parses the flags and runs a command.

    A `UserError` of `body` is one line on standard error, and exit code 1.
    """
    flags.adopt_module_key_flags(sys.modules[__name__])  # so that --help lists them

    def main(argv: list[str]) -> int:
        if len(argv) > 1:
            print(f"{name}: unexpected arguments: {' '.join(argv[1:])}", file=sys.stderr)
            return 2
        logging.set_verbosity(logging.WARNING)
        try:
            body()
        except UserError as e:
            print(f"{name}: {e}", file=sys.stderr)
            return 1
        return 0

    app.run(main)
