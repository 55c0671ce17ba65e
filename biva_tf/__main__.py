"""The console command: biva NAME ..., or python -m biva_tf NAME ..."""

import ast
import importlib
import sys
from pathlib import Path

from biva_tf.commands.catalogue import COMMANDS, GROUPS
from biva_tf.errors import nearest
from biva_tf.version import __version__


def main() -> int:
    """Runs the command that the first argument names; without arguments, lists the commands.

    Returns:
      The exit code: 2 if there is no such command.
    """
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("--help", "-h"):
        _list()
        return 0
    name = arguments[0]
    if name == "--version":
        print(__version__)
        return 0
    if name not in COMMANDS:
        near = nearest(name, COMMANDS)
        print(f"biva: there is no command {name!r}{near}; `biva` lists them", file=sys.stderr)
        return 2
    sys.argv = [f"biva {name}", *arguments[1:]]
    command = importlib.import_module(f"biva_tf.{name}")
    sys.modules["__main__"].__doc__ = command.__doc__  # which --help shows
    command.main()
    return 0


def _list() -> None:
    """Prints each command with the first line of its docstring, by what one wants to do."""
    print("usage: biva COMMAND --help, or python -m biva_tf.COMMAND --help")
    for purpose, names in GROUPS.items():
        print(f"\n{purpose}:")
        for name in names:
            source = Path(__file__).with_name(f"{name}.py").read_text()
            first = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
            summary = first.partition(": ")[0].rstrip(":.")
            print(f"  {name:<14}{summary}")


if __name__ == "__main__":
    sys.exit(main())
