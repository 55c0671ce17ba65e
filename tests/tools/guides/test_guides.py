"""Every guide runs from its first cell to its last in an empty folder."""

import pytest
from conftest import ROOT, run

GUIDES = sorted((ROOT / "tools" / "guides").glob("[a-z]*.py"))


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_a_guide_runs(path, tmp_path):
    lines = path.read_text().splitlines()
    assert lines[0] == "# %% [markdown]" and lines[1].startswith("# # ")
    result = run(
        "-c",
        f"import os, runpy, sys; sys.path.insert(0, {str(ROOT)!r}); os.chdir({str(tmp_path)!r}); "
        f"runpy.run_path({str(path)!r}, run_name='__main__')",
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.strip()
