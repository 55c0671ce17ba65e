"""A capitalised name means one thing in the whole tree."""

import ast
import collections
import re

from conftest import ROOT


def _definitions(path):
    """The classes and the type aliases that a file defines, with their lines."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name, node.lineno
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and re.fullmatch(r"_?[A-Z]\w*[a-z]\w*", target.id):
                    yield target.id, node.lineno


def test_every_class_and_type_alias_has_a_name_of_its_own():
    places = collections.defaultdict(list)
    for folder in "biva_tf", "tools":
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name, line in _definitions(path):
                places[name.lstrip("_")].append(f"{path.relative_to(ROOT)}:{line}")
    repeated = {name: where for name, where in places.items() if len(where) > 1}
    assert not repeated, repeated
