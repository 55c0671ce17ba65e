"""Measures speed, on this machine."""

import time

START = time.perf_counter()  # of the imports
