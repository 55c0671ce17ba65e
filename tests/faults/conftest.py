"""Fixtures of the trials, and the table of how they ended."""

import collections

import pytest

from faults.fault import Outcome
from faults.place import Place, Shared


@pytest.fixture(scope="session")
def shared(finished, digits_json, tmp_path_factory):
    return Shared(finished[0], digits_json, tmp_path_factory.mktemp("shared"))


@pytest.fixture
def place(shared, tmp_path):
    place = Place(tmp_path, shared)
    yield place
    place.leave()


def pytest_terminal_summary(terminalreporter):
    """Prints by kind how the trials ended."""
    reports = [r for group in terminalreporter.stats.values() for r in group]
    tried = [
        (*dict(r.user_properties)["fault"], r.duration)
        for r in reports
        if getattr(r, "when", "") == "call" and "fault" in dict(r.user_properties)
    ]
    if not tried:
        return
    kinds = collections.defaultdict(list)
    for kind, outcome, as_expected, seconds in tried:
        outcome = outcome if as_expected else f"{outcome} that must not be"
        kinds[kind].append((outcome, seconds))
        kinds["all"].append((outcome, seconds))
    kinds["all"] = kinds.pop("all")  # last
    good = (Outcome.OK.value, Outcome.LINE.value)
    write = terminalreporter.write_line
    write(f"{'faults':24}{'tried':>7}{'ok':>6}{'one line':>10}{'others':>8}{'seconds':>9}")
    for kind, trials in kinds.items():
        count = collections.Counter(outcome for outcome, _ in trials)
        others = {name: n for name, n in count.items() if name not in good}
        write(
            f"{kind:24}{len(trials):7}{count[good[0]]:6}{count[good[1]]:10}"
            f"{sum(others.values()):8}{sum(s for _, s in trials):9.0f}  "
            + ", ".join(f"{n} {name}" for name, n in others.items())
        )
