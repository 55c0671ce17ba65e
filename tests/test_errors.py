"""Messages name settings by their names in Python, and as flags on the command line."""

import ast
import pickle
import re

import pytest
from conftest import ROOT

from biva_tf.errors import Setting, SettingsError, UserError

PACKAGE = ROOT / "biva_tf"
# Where a flag begins: dashes and then a name, or what an f-string puts in its place.
FLAG = re.compile(r"(?<![\w-])--(?=[a-z\0])")
# A string with a whole command line of the package, to which flags belong.
COMMAND_LINE = "python -m biva_tf."
# Files whose strings are no messages of the library.
LEFT_OUT = ("__main__.py", "errors.py", "plotting/document.py")
# Command-line arguments of git.
OF_GIT = ("--always", "--dirty", "--abbrev=40", "--exclude=*")


@pytest.mark.parametrize(
    "parts, in_python, on_command_line",
    [
        (
            (Setting("batch_size"), ": expected a multiple of 2, got 3"),
            "batch_size: expected a multiple of 2, got 3",
            "--batch_size: expected a multiple of 2, got 3",
        ),
        (
            (Setting("dataset", "celeba64"), ": not found in ", Setting("data_dir", "/x"), "."),
            "dataset=celeba64: not found in data_dir=/x.",
            "--dataset=celeba64: not found in --data_dir=/x.",
        ),
        (
            (Setting("seed", 0), " and batch_size"),
            "seed=0 and batch_size",
            "--seed=0 and batch_size",
        ),
        (
            ("f.biva: ", UserError(Setting("steps"), ": expected 4")),
            "f.biva: steps: expected 4",
            "f.biva: --steps: expected 4",
        ),
        (("a.npz: no such file",), "a.npz: no such file", "a.npz: no such file"),
    ],
)
def test_a_message_has_two_readers(parts, in_python, on_command_line):
    error = SettingsError(*parts)
    assert str(error) == in_python
    assert error.with_flags() == on_command_line
    again = pickle.loads(pickle.dumps(error))  # as from a process of a pool
    assert type(again) is SettingsError
    assert again.with_flags() == on_command_line


def _strings(tree):
    """The texts of a module's strings without docstrings; "\\0" stands for an f-string's values.

    A string inside a value of an f-string counts as a string of its own.
    """
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and isinstance(node.body[0], ast.Expr)
    }
    pieces = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            constants = [value for value in node.values if isinstance(value, ast.Constant)]
            pieces.update(map(id, constants))
            yield "".join(v.value if isinstance(v, ast.Constant) else "\0" for v in node.values)
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in pieces | docstrings:
            yield node.value


def _naming_flags(source):
    return [
        text
        for text in _strings(ast.parse(source))
        if FLAG.search(text) and COMMAND_LINE not in text and text not in OF_GIT
    ]


def test_strings_that_name_flags_are_found():
    source = '''"""With --flag."""
"--batch_size: expected"
f"use {x}; --{name}: a"
f"python -m biva_tf.train --steps={n}"
"a -- b", "--"
f"{'--seed' if x else ''}"
'''
    expected = ["use \0; --\0: a", "--batch_size: expected", "--seed"]
    assert _naming_flags(source) == expected


def test_no_string_of_the_library_names_a_flag():
    """Library: all but the commands (the modules at the top that start one) and what they share.

    Left out too: `__main__.py`, which lists the commands; `errors.py`, which makes the flags; and
    `plotting/document.py`, whose strings are the styles of a page, where "--" begins a variable.
    """
    commands = {path for path in PACKAGE.glob("*.py") if "commands.start" in path.read_text()}
    assert PACKAGE / "train.py" in commands and PACKAGE / "api.py" not in commands
    found, scanned = [], 0
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        if path in commands or where.startswith("commands/") or where in LEFT_OUT:
            continue
        scanned += 1
        found += [f"{where}: {text}" for text in _naming_flags(path.read_text())]
    assert scanned > 100
    assert not found
