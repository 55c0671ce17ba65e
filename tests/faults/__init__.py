"""Faults that commands meet, as a table: what is wrong, which command, and what must come.

    tools/run.sh python -m pytest -m '' tests/faults

tries all of them and prints by kind how they ended. Each module has the faults of a few kinds. A
fault is tried in a process of its own, in a folder of its own (`place.Place`).
"""
