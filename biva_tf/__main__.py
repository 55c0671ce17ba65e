"""Lists the commands: python -m biva_tf"""

import ast
from pathlib import Path

COMMANDS = (
    "train",
    "evaluate",
    "anomaly",
    "classify",
    "sample",
    "compress",
    "decompress",
    "plot",
    "report",
    "export",
)


def main() -> None:
    """Prints each command with the first line of its docstring."""
    print("usage: python -m biva_tf.COMMAND --help\n")
    for name in COMMANDS:
        source = Path(__file__).with_name(f"{name}.py").read_text()
        summary = ast.get_docstring(ast.parse(source)).splitlines()[0]
        print(f"  {name:<12}{summary.rstrip(':')}")


if __name__ == "__main__":
    main()
