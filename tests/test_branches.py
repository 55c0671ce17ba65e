"""What x is and whether there are classes is asked in few places, which WORKSPACE.md lists."""

import re

import pytest
from conftest import ROOT

ASKED = {
    "the kind of x": r"\.of_images\b|\.num_ids\b|isinstance\([^)]*\b(Text|Gaussian|Bernoulli)\b",
    "classes": r"\bclasses is (not )?None\b|\bif (\w+\.)*spec\.classes\b|in spec\.classes\b",
}


@pytest.mark.parametrize("pattern", ASKED.values(), ids=ASKED)
def test_a_module_that_branches_is_listed(pattern):
    text = (ROOT / "WORKSPACE.md").read_text()
    section = text.split("# Where it matters what x is")[1].split("\n# ")[0]
    package = ROOT / "biva_tf"
    asking = {path for path in package.rglob("*.py") if re.search(pattern, path.read_text())} - {
        package / "model" / name for name in ("spec.py", "kinds.py", "observations.py")
    }
    assert asking  # the pattern finds something
    assert not [str(path) for path in asking if f"{path.stem}" not in section]
