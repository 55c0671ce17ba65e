"""A user's own files: parts of specs that they register, and the specs that they define.

Such a file runs only if this account has named it: in `--architecture=my.py:spec` or `--code=my.py`
of a command, or in `biva_tf.build`. The SHA-256 of its text is then remembered, so that later
commands run the copy of it in a run's folder, and no other code that such a folder brings along.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from biva_tf.errors import Setting, UserError, nearest
from biva_tf.files import write_atomically
from biva_tf.model.checks import SpecError
from biva_tf.model.kinds import UnknownKindError
from biva_tf.model.spec import ModelSpec, from_plain

_SUFFIX = ".py"
_OWN = ("biva_tf", "__main__")

_TEXTS: dict[str, str] = {}  # of the modules that this process has run, by their names
_GIVEN: set[str] = set()  # those of them that the user named in this process
_NAMED: set[str] = set()  # the hashes of the texts that this process was told to run


class CodeError(UserError):
    """A user's file that cannot be run; the message names the file and, if known, the line."""


def is_code(architecture: str) -> bool:
    """Whether an architecture's name is a place in a user's code, such as my.py:spec."""
    return ":" in architecture or architecture.endswith(_SUFFIX)


def spec_at(place: str) -> ModelSpec:
    """The spec at a place in a user's code, which is run.

    Args:
      place: `my.py:spec` or `package.module:spec`, the name of a ModelSpec or of a function without
        arguments that returns one.

    Raises:
      CodeError: the code is missing or raises an error.
      SpecError: there is no such name in it, or it is no spec.
    """
    code, _, name = place.rpartition(":")
    if not code or not name.isidentifier():
        raise SpecError(f"expected FILE.py:NAME or MODULE:NAME, got {place}")
    module = run(code)
    if not hasattr(module, name):
        specs = [n for n, value in vars(module).items() if isinstance(value, ModelSpec)]
        there = f"; its specs are {', '.join(specs)}" if specs else nearest(name, vars(module))
        raise SpecError(f"{code} has no {name}{there}")
    value = getattr(module, name)
    if callable(value) and not isinstance(value, type):
        try:
            value = value()
        except Exception as e:
            raise CodeError(_failure(e, Path(module.__file__ or code))) from e
    if not isinstance(value, ModelSpec):
        got = value.__name__ if isinstance(value, type) else f"a {type(value).__name__}"
        raise SpecError(f"{code}: {name}: expected a ModelSpec or a function giving one, got {got}")
    return value


def run(code: str) -> ModuleType:
    """Runs the code that a user names, once, and remembers that it was named.

    Args:
      code: the path of a file, or the name of a module that Python finds.

    Raises:
      CodeError: it is missing or raises an error.
    """
    if not code.endswith(_SUFFIX):
        return _import(code)
    path = Path(code).expanduser()
    text = _read(path)
    _remember(text, path)
    module = _run(path.stem, path, text)
    _GIVEN.add(path.stem)
    return module


def copies_of(spec: ModelSpec) -> dict[str, str]:
    """The texts of the files that register the kinds of a spec, those of the project left out.

    A kind that was defined in a notebook, or in the program itself, has no such file.

    Returns:
      The texts by the names of their copies, such as `my.py` or `package.module.py`.
    """
    found = {}
    for part in spec.parts:
        name = type(part).__module__
        file = getattr(sys.modules.get(name), "__file__", None)
        if name.split(".")[0] not in _OWN and file:
            found[name + _SUFFIX] = _TEXTS.get(name) or _read(Path(file))
    return found


def write_copies(spec: ModelSpec, folder: Path) -> tuple[list[str], list[str]]:
    """Writes the copies of a spec's code, which this process has run, into a folder.

    Returns:
      The names of the copies; and for each that was there with another text, the name under which
      that text is kept.
    """
    copies, kept = copies_of(spec), []
    for name, text in copies.items():
        path = folder / name
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and (before := _read(path)) != text:
            kept.append(f"{path.stem}-{_hash(before)[:8]}.txt")
            write_atomically(folder / kept[-1], before.encode())
        write_atomically(path, text.encode())
        _remember(text, path)
    return list(copies), kept


def read_spec(plain: Any, folder: Path, copies: Any) -> ModelSpec:
    """The spec of a run or an export, which may have kinds of a user's file.

    Its code runs only if a kind is unknown, or if this process has run another copy of it, of
    another model. What the user names in this process comes before all copies.

    Args:
      plain: the spec as plain data.
      folder: the folder of the copies of its code.
      copies: their names.

    Raises:
      CodeError: this account has not named a copy, or it is missing or raises an error.
      SpecError: it is no spec.
    """
    valid = isinstance(copies, list) and all(
        isinstance(name, str) and name == Path(name).name and name.endswith(_SUFFIX)
        for name in copies
    )
    if not valid:
        raise SpecError(f"code: expected the names of files in {folder}, got {copies!r:.60}")
    paths = [folder / name for name in copies]
    if not any(map(_differs, paths)):
        try:
            return from_plain(plain)
        except UnknownKindError:
            if not paths:
                raise
    for path in paths:
        text = _read(path)
        if not _is_named(text):
            raise CodeError(
                f"{path}: code of the model's author, and this account has not named it yet; read "
                "it, and if you trust it, give ",
                Setting("code", path),
                " once (in Python, import it first)",
            )
        _run(path.stem, path, text)
    return from_plain(plain)


def _differs(copy: Path) -> bool:
    """Whether this process ran another text of a module, which it took from another copy."""
    name = copy.stem
    return name in _TEXTS and name not in _GIVEN and _TEXTS[name] != _read(copy)


def _import(name: str) -> ModuleType:
    try:
        module = importlib.import_module(name)
    except Exception as e:
        if isinstance(e, ModuleNotFoundError) and e.name and f"{name}.".startswith(f"{e.name}."):
            expected = "the path of a file, FILE.py, or the name of a module that Python finds"
            raise CodeError(f"{name}: expected {expected}; there is no module {e.name}") from e
        frames = traceback.extract_tb(e.__traceback__)
        raise CodeError(_failure(e, Path(frames[-1].filename))) from e
    if module.__file__:
        _remember(_read(Path(module.__file__)), Path(module.__file__))
    return module


def _run(name: str, path: Path, text: str) -> ModuleType:
    """Runs the text of a file as the module of a name, unless it has been run."""
    before = sys.modules.get(name)
    if before is not None and _text_of(name, before) == text:
        return before
    if not name.replace(".", "_").isidentifier():
        raise CodeError(
            f"{path}: expected a file with a name that Python can import, as my_model.py"
        )
    if name not in _TEXTS and (before is not None or _is_installed(name)):
        where = getattr(before, "__file__", None) or "installed"
        raise CodeError(f"{path}: there is another module {name} ({where}); rename the file")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[name] = module
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as e:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise CodeError(_failure(e, path)) from e
    _TEXTS[name] = text
    return module


def _text_of(name: str, module: ModuleType) -> str | None:
    """The text of a module that was imported; None if it has none."""
    if name in _TEXTS:
        return _TEXTS[name]
    file = getattr(module, "__file__", None)
    return _read(Path(file)) if file and file.endswith(_SUFFIX) else None


def _is_installed(name: str) -> bool:
    """Whether Python has a module of this name outside the folder that it was started in."""
    if name in sys.stdlib_module_names:
        return True
    here = ("", os.getcwd())
    elsewhere = [path for path in sys.path if path not in here]
    return "." not in name and PathFinder.find_spec(name, elsewhere) is not None


def _failure(error: BaseException, path: Path) -> str:
    """What went wrong in a file, and in which line."""
    frames = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        frames.append((error.filename or "", error.lineno))
    lines = [line for name, line in frames if os.path.abspath(name) == os.path.abspath(path)]
    line = f", line {lines[-1]}" if lines else ""
    reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return f"{path}{line}: {reason}"


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or e
        raise CodeError(f"{path}: cannot read this file of code ({reason})") from e


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _memory() -> Path:
    """The file with the hashes of the texts that this account has named."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "biva_tf" / "named_code"


def _is_named(text: str) -> bool:
    if _hash(text) in _NAMED:
        return True
    try:
        lines = _memory().read_text().splitlines()
    except (OSError, RuntimeError):  # there is none, or no home
        return False
    return any(line.startswith(f"{_hash(text)} ") for line in lines)


def _remember(text: str, path: Path) -> None:
    if _is_named(text):
        return
    _NAMED.add(_hash(text))
    try:
        memory = _memory()
        memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(memory, "a") as file:
            file.write(f"{_hash(text)} {path.resolve()}\n")
    except (OSError, RuntimeError) as e:
        note = f"note: other processes will ask for {path} again: cannot remember it ({e})"
        print(note, file=sys.stderr)
