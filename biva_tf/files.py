"""Files that are written whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that neither a reader nor a kill ever leaves half of it visible."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes a JSON file atomically."""
    write_atomically(path, (json.dumps(values, indent=2) + "\n").encode())
