"""Lists the commands: python -m biva_tf"""

import ast
from pathlib import Path

COMMANDS = (
    "prepare_data",
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
    "score_dataset",
    "serve_check",
)


def main() -> None:
    """Prints each command with the first line of its docstring."""
    print("usage: python -m biva_tf.COMMAND --help\n")
    for name in COMMANDS:
        source = Path(__file__).with_name(f"{name}.py").read_text()
        summary = ast.get_docstring(ast.parse(source)).splitlines()[0]
        print(f"  {name:<14}{summary.rstrip(':')}")


if __name__ == "__main__":
    main()
