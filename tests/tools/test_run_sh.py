"""tools/run.sh makes the environment once, replaces one that does not fit, leaves none half made.

The tests run a copy of the script in a folder of its own, with an interpreter that only pretends
to install.
"""

import shutil
import subprocess

import pytest
from conftest import ROOT

PYTHON = """#!/usr/bin/env bash
# A fake: -c answers as a Python of the given version, -m venv copies this script to a new folder.
case "$1 $2" in
  "-c import sys; print"*) echo {version} ;;
  "-c import sys; sys.exit"*) exit {old} ;;
  "-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; echo made >>"{log}" ;;
  "-m pip") echo installed >>"{log}"; {pip} ;;
  *) echo "ran $*" ;;
esac
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "run.sh", tmp_path / "tools")
    (tmp_path / "requirements.txt").write_text("numpy==1\n")
    return tmp_path


def _run(project, *args, version="3.11", old=0, pip="exit 0"):
    log = project / "log"
    python = project / "fake_python"
    python.write_text(PYTHON.format(version=version, old=old, log=log, pip=pip))
    python.chmod(0o755)
    result = subprocess.run(
        ["bash", "tools/run.sh", *args],
        cwd=project,
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(python)},
        capture_output=True,
        text=True,
    )
    return result, log.read_text().split() if log.exists() else []


def test_the_environment_is_installed_once_and_commands_run_in_it(project):
    result, log = _run(project, "python", "hello")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "ran hello\n"
    assert log == ["made", "installed"]
    result, log = _run(project, "python", "again")
    assert result.stdout == "ran again\n" and log == ["made", "installed"]


@pytest.mark.parametrize(
    "change",
    [
        lambda project: (project / "requirements.txt").write_text("numpy==2\n"),
        lambda project: (project / ".venv" / ".complete").unlink(),  # an interrupted install
        lambda project: shutil.rmtree(project / ".venv"),
    ],
)
def test_an_environment_that_does_not_fit_is_replaced(project, change):
    _run(project, "python", "hello")
    stale = project / ".venv" / "stale"
    stale.write_text("")
    change(project)
    result, log = _run(project, "python", "hello")
    assert result.returncode == 0 and log == ["made", "installed"] * 2
    assert not stale.exists()


def test_a_failed_install_gives_one_message_and_is_tried_again(project):
    result, _ = _run(project, "python", "hello", pip="echo 'No matching distribution'; exit 1")
    assert result.returncode == 1
    assert "No matching distribution" in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("tools/run.sh: the install failed")
    result, log = _run(project, "python", "hello")
    assert result.returncode == 0 and log == ["made", "installed"] * 2


def test_a_new_environment_is_not_made_by_the_python_of_the_activated_one(project):
    """The first python3 on the path is in .venv/bin, which is about to be removed."""
    _run(project, "python", "hello")
    (project / ".venv" / "bin" / "python3").write_text("#!/usr/bin/env bash\nexit 1\n")
    (project / ".venv" / "bin" / "python3").chmod(0o755)
    (project / "bin").mkdir()
    shutil.copy(project / "fake_python", project / "bin" / "python3")
    (project / "requirements.txt").write_text("numpy==2\n")
    result = subprocess.run(
        ["bash", "tools/run.sh", "python", "hello"],
        cwd=project,
        env={"PATH": f"{project}/.venv/bin:{project}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0 and result.stdout == "ran hello\n", result.stderr


def test_an_interpreter_that_is_too_old_is_refused(project):
    result, log = _run(project, "python", "hello", version="3.9", old=1)
    assert result.returncode == 1 and not log
    assert "expected python >= 3.10" in result.stderr and "is 3.9" in result.stderr


def test_a_missing_interpreter_and_a_missing_command_are_errors(project):
    missing = subprocess.run(
        ["bash", "tools/run.sh", "python"],
        cwd=project,
        env={"PATH": "/usr/bin:/bin", "PYTHON": "python9"},
        capture_output=True,
        text=True,
    )
    assert missing.returncode == 1 and "no interpreter 'python9'" in missing.stderr
    result, _ = _run(project)
    assert result.returncode == 1 and "usage: tools/run.sh CMD..." in result.stderr


def test_the_exit_code_is_that_of_the_command(project):
    _run(project, "python", "hello")
    result, _ = _run(project, "bash", "-c", "exit 7")
    assert result.returncode == 7
