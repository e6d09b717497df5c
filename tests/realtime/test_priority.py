"""The right to the processor that the presenter asks for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, threading
from obs_stylizer.realtime.priority import raise_thread_priority
granted = []
thread = threading.Thread(target=lambda: granted.append(raise_thread_priority()))
thread.start()
thread.join()
print(granted[0], os.getpriority(os.PRIO_PROCESS, 0))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="reads nice values")
def test_asking_never_fails_and_concerns_its_own_thread_only() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    granted, after = result.stdout.split()
    assert granted in ("True", "False")
    assert int(after) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the slice is Linux's")
def test_a_short_slice_is_for_everybody() -> None:
    # In a thread of a process of its own, so that nothing here keeps it.
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("raise_thread_priority", "_shorten_slice")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split()[0] == "True"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads have nice values")
def test_threads_are_raised_above_the_rest_of_their_process() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, own - 1)
    except PermissionError:
        pytest.skip("only root may")
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, own)
    program = PROGRAM.replace(
        "raise_thread_priority()))",
        "(raise_thread_priority(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))))",
    )
    for nice, raised in ((0, -11), (-5, -16), (-15, -20)):
        result = subprocess.run(
            [
                sys.executable,
                "-c",
                f"import os\nos.setpriority(os.PRIO_PROCESS, 0, {nice}){program}",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.split() == ["(True,", f"{raised})", f"{nice}"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the policies are Linux's")
def test_a_real_time_process_stays_one() -> None:
    policy, own = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pytest.skip("only root may")
    finally:
        os.sched_setscheduler(0, policy, own)
    seen = "raise_thread_priority(), os.sched_getscheduler(0), os.sched_getparam(0).sched_priority"
    program = PROGRAM.replace("raise_thread_priority()))", f"({seen})))")
    start = "import os\nos.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))"
    result = subprocess.run(
        [sys.executable, "-c", start + program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split()[:3] == ["(True,", f"{os.SCHED_RR},", "2)"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the policies are Linux's")
@pytest.mark.parametrize(
    ("policy", "left"), [("SCHED_RR", "0 -15"), ("SCHED_FIFO", "0 -15"), ("SCHED_OTHER", "0 0")]
)
def test_what_keeps_all_cores_busy_is_no_real_time_process(policy: str, left: str) -> None:
    program = f"""
import os
from obs_stylizer.realtime.priority import leave_real_time
os.setpriority(os.PRIO_PROCESS, 0, 0)
os.sched_setscheduler(0, os.{policy}, os.sched_param(int("{policy}" != "SCHED_OTHER")))
leave_real_time()
print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if "PermissionError" in result.stderr:
        pytest.skip("only root may")
    assert result.stdout.strip() == left


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="this system shares nothing among sessions"
)
def test_the_session_of_a_real_time_program_goes_ahead_of_others() -> None:
    program = """
import os
from pathlib import Path
from obs_stylizer.realtime.priority import leave_real_time
os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
leave_real_time()
print(Path("/proc/self/autogroup").read_text())
"""
    # In a session of its own, so that this one stays as it is.
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if "PermissionError" in result.stderr:
        pytest.skip("only root may")
    assert result.stdout.split()[1:] == ["nice", "-15"]


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 1), (16, 4)])
def test_opencv_leaves_most_cores_alone(cores: int, threads: int) -> None:
    program = (
        "import os, cv2\n"
        "from obs_stylizer.realtime.priority import limit_opencv_threads\n"
        f"os.cpu_count = lambda: {cores}\n"
        "limit_opencv_threads()\n"
        "print(cv2.getNumThreads())"
    )
    # In a process of its own, so that nothing here keeps it.
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) == threads
