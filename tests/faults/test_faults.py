"""Every fault of the table ends as it must. `-m faults` tries all but the quick ones."""

import importlib.util

import pytest

from faults import (
    arrays,
    containers,
    disk,
    odd_images,
    parts,
    pictures,
    run_files,
    served,
    settings,
    trainings,
)
from faults.fault import attempt

MODULES = (
    *(odd_images, disk, trainings, run_files, settings),
    *(served, containers, arrays, parts, pictures),
)
FAULTS = [fault for module in MODULES for fault in module.FAULTS]


@pytest.mark.parametrize(
    "fault",
    [pytest.param(f, id=str(f), marks=[pytest.mark.faults] * f.slow) for f in FAULTS],
)
def test_fault(fault, place, record_property):
    if fault.needs and importlib.util.find_spec(fault.needs) is None:
        pytest.skip(f"needs {fault.needs}")
    trial = attempt(fault, place)
    as_expected = trial.outcome is fault.expected
    record_property("fault", (fault.kind, trial.outcome.value, as_expected))
    assert trial.outcome is fault.expected, (
        f"{trial.outcome.value}: {trial.said}\n{place.err[-2000:]}"
    )


def test_no_fault_stands_twice_in_the_table():
    names = [str(fault) for fault in FAULTS]
    assert len(set(names)) == len(names)
