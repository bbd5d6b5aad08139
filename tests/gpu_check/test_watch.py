"""A watched command: its lines, its end, the memory of all its processes."""

import os
import sys

from tests.gpu_check.watch import watch

MIB = 2**20
# A child of the child holds the memory, as ranks below a launcher do.
HOLDS = "import time; block = bytearray(150 * 2**20); time.sleep(1.5)"
PROGRAM = f"""
import subprocess, sys, time
print("begins", flush=True)
time.sleep(1)  # for the one that reads it to see it before the memory is there
subprocess.run([sys.executable, "-c", {HOLDS!r}])
sys.exit(3)
"""


def test_a_watched_command():
    levels = iter(range(1, 10**6))
    watched = watch([sys.executable, "-c", PROGRAM], os.environ, lambda: next(levels))
    assert watched.code == 3
    assert [line for _, line in watched.lines] == ["begins"]
    assert 150 * MIB < watched.peaks()[0] < 400 * MIB
    assert watched.peaks()[1] == len(watched.samples)
    assert watched.peaks(until=watched.time_of("begins"))[0] < 100 * MIB
    assert watched.time_of("never said") is None
