"""Freed pictures are reused, measured by the page faults of the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from obs_stylizer.realtime.memory import keep_freed_pictures

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        held = [np.empty((720, 1280, 3), np.uint8) for _ in range(2)]
        for picture in held:
            picture[:] = 1
        del held, picture
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
told = keep_freed_pictures()
faults()
print(told, before, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has the switch")
def test_pictures_cause_no_page_faults_once_it_is_told() -> None:
    # A fresh process, since glibc moves its own thresholds as a program runs.
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    told, before, after = result.stdout.split()
    if told != "True":
        pytest.skip("this C library has no mallopt")
    assert int(after) < 0.1 * int(before)
