"""The imports inside the package go in one direction and have no cycle."""

import ast
import itertools

import pytest
from conftest import ROOT

# A part may import itself and the parts before it. WORKSPACE.md lists the same order.
ORDER = (
    "quiet",
    "errors",
    "extras",
    "files",
    "locks",
    "version",
    "artefacts",
    "ranges",
    "settings",
    "choices",
    "nn",
    "model",
    "inference",
    "compression",
    "data",
    "plotting",
    "runs",
    "pretrained",
    "training",
    "evaluation",
    "api",
    "drawing",
    "reports",
    "serving",
    "commands",
    "batch_scoring",
)
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
PACKAGE = ROOT / "biva_tf"


def _imports(path):
    """The modules of the package that a file imports, as dotted names without `biva_tf.`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "biva_tf":
                yield name.removeprefix("biva_tf.")


def _modules():
    """(Dotted name without `biva_tf.`, path) of every module but the package's own two."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if name not in ("__init__", "__main__"):
            yield name, path


def test_order_and_commands_list_every_part():
    parts = {name.split(".")[0] for name, _ in _modules()}
    assert parts == {*ORDER, *COMMANDS}


@pytest.mark.parametrize("name,path", _modules(), ids=[name for name, _ in _modules()])
def test_a_module_imports_only_its_own_part_and_earlier_parts(name, path):
    part = name.split(".")[0]
    allowed = set(ORDER if part in COMMANDS else ORDER[: ORDER.index(part) + 1])
    imported = {target.split(".")[0] for target in _imports(path)}
    assert imported <= allowed, f"{name} imports {sorted(imported - allowed)}"


def test_no_module_imports_itself_through_others():
    modules = dict(_modules())
    graph = {}
    for name, path in modules.items():
        targets = set()
        for target in _imports(path):
            # `from biva_tf.model import plans` imports a module;
            # `from biva_tf.model.plans import Plan` imports a name from a module.
            module = target if target in modules else target.rpartition(".")[0]
            if module in modules and path.name != "__init__.py":
                targets.add(module)
        graph[name] = targets

    def reaches(start, goal, seen):
        for target in graph[start] - seen:
            seen.add(target)
            if target == goal or reaches(target, goal, seen):
                return True
        return False

    in_a_cycle = [name for name in graph if reaches(name, name, set())]
    assert not in_a_cycle


def test_the_map_lists_every_module_under_its_package():
    lines = (ROOT / "WORKSPACE.md").read_text().splitlines()
    first = lines.index("    biva_tf/") + 1
    last = next(i for i, line in enumerate(lines) if line.startswith("    configs/"))
    listed, folder = set(), ""
    for line in lines[first:last]:
        if line[6:7] not in ("", " "):  # a package, or files beside the packages
            head = line.split()[0]
            folder = head if head.endswith("/") else ""
        words = [word.rstrip(",") for word in line.split()]
        listed |= {folder + word for word in words if word.endswith(".py")}
    modules = {
        str(path.relative_to(PACKAGE))
        for _, path in _modules()
        if path.name != "__init__.py" and "sources" not in path.parts
    }
    assert listed - {"__main__.py"} == modules


def test_commands_do_not_import_each_other():
    for name, other in itertools.permutations(COMMANDS, 2):
        assert other not in {t.split(".")[0] for t in _imports(PACKAGE / f"{name}.py")}
