"""Memory for frames is there when it was made, or is refused in words; a write never kills."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from obs_stylizer.errors import WorkerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.realtime import frame_memory
from obs_stylizer.realtime.frame_memory import make_memory, open_memory
from obs_stylizer.realtime.mailbox import SharedMailbox, bytes_needed

LENGTH = 100_000
FILL = """
import sys
from obs_stylizer.frames import FrameSize
from obs_stylizer.realtime import frame_memory, mailbox
if sys.argv[1] == "named":
    frame_memory._others_may_open_ours = lambda: False
try:
    box = mailbox.SharedMailbox.create(FrameSize(1280, 720))
except frame_memory.WorkerError as error:
    sys.exit(str(error))
for slot in box._slots:
    slot[:] = 7
del slot
box.close()
"""


@pytest.fixture(params=["nameless", "named"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "named":
        monkeypatch.setattr(frame_memory, "_others_may_open_ours", lambda: False)
    elif sys.platform != "linux":
        pytest.skip("only Linux has memory without a name")
    return str(request.param)


def _write(name: str) -> None:
    memory = open_memory(name)
    assert memory.buf is not None
    memory.buf[LENGTH - 1] = 9
    memory.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has memory without a name")
def test_a_python_without_the_call_takes_memory_with_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    memory = make_memory(LENGTH)
    assert not memory.name.startswith("/proc/")
    memory.close()


def test_another_process_writes_into_it(kind: str) -> None:
    memory = make_memory(LENGTH)
    assert memory.buf is not None
    assert memory.name.startswith("/proc/") == (kind == "nameless")
    assert bytes(memory.buf[:LENGTH]) == bytes(LENGTH)
    writer = multiprocessing.get_context("spawn").Process(target=_write, args=(memory.name,))
    writer.start()
    writer.join()
    assert writer.exitcode == 0
    assert memory.buf[LENGTH - 1] == 9
    memory.close()


def test_it_is_gone_when_its_maker_closes_it(kind: str) -> None:
    memory = make_memory(LENGTH)
    name = memory.name
    memory.close()
    memory.close()
    with pytest.raises(WorkerError, match="is gone"):
        open_memory(name)
    if kind == "named":
        with pytest.raises(FileNotFoundError):
            SharedMemory(name=name)


@pytest.mark.skipif(sys.platform != "linux", reason="names of open files as on Linux")
def test_another_file_of_the_same_number_is_not_taken_for_it() -> None:
    memory = make_memory(LENGTH)
    name = memory.name
    memory.close()
    with open(os.devnull, "rb") as other, socket.socket() as spare:  # noqa: PTH123
        number = int(name.rpartition("/")[2])
        assert number in (other.fileno(), spare.fileno())
        with pytest.raises(WorkerError, match="is gone"):
            open_memory(name)


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors as on Linux")
def test_nothing_is_left_open(kind: str) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        memory = make_memory(LENGTH)
        open_memory(memory.name).close()
        memory.close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + (kind == "named")


def test_more_than_there_is_is_refused_before_linux_ends_programs_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Little:
        available = 150_000

    monkeypatch.setattr(frame_memory.psutil, "virtual_memory", lambda: Little)
    with pytest.raises(WorkerError, match="need 0 MB of memory, and 0 MB are free"):
        make_memory(LENGTH)


def in_a_small_container(kind: str) -> subprocess.CompletedProcess[str]:
    """Fill a mailbox of 11 MB where /dev/shm has 4."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("needs Linux's unshare")
    begin = "mount -t tmpfs -o size=4m tmpfs /dev/shm"
    for unshare in (["unshare", "-m"], ["unshare", "-rm"]):
        if subprocess.run([*unshare, "sh", "-c", begin], capture_output=True).returncode == 0:
            program = f'{begin} && exec "$0" -c "$1" {kind}'
            return subprocess.run(
                [*unshare, "sh", "-c", program, sys.executable, FILL],
                capture_output=True,
                text=True,
                timeout=60,
            )
    pytest.skip("may not mount anything here")


def test_a_small_dev_shm_does_not_matter() -> None:
    done = in_a_small_container("nameless")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_small_dev_shm_is_named_where_it_matters() -> None:
    done = in_a_small_container("named")
    assert done.returncode == 1
    assert "/dev/shm has 4 MB, 15 MB are needed" in done.stderr
    assert "--shm-size=1g" in done.stderr


def test_a_mailbox_says_what_it_needs() -> None:
    size = FrameSize(64, 32)
    box = SharedMailbox.create(size)
    assert box._memory is not None
    assert box._memory.buf is not None
    assert len(box._memory.buf) >= bytes_needed(size) > 4 * size.nbytes
    box.close()
