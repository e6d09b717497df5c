"""Memory that two processes share, every page of it there before anyone writes.

Memory that was only promised ends whoever touches it with a bus error once there is no more. So it
is taken whole when it is made, or refused in words. On Linux it is a file without a name in the
kernel's own memory, which no small ``/dev/shm`` limits (a container's has 64 MB) and which goes
with the processes that use it; where that cannot be had, and on other systems, it is a piece of
shared memory with a name.
"""

from __future__ import annotations

import mmap
import os
import shutil
import sys
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Final, Protocol

import psutil

from obs_stylizer.errors import WorkerError

SHARED_FOLDER: Final = Path("/dev/shm")  # noqa: S108 (Linux keeps shared memory there)
_PROCESSES: Final = "/proc/"
_LABEL: Final = "obs-stylizer"


class FrameMemory(Protocol):
    """What a mailbox lies in."""

    @property
    def name(self) -> str:
        """What another process opens it by."""

    @property
    def buf(self) -> memoryview | None:
        """All its bytes, zero at first."""

    def close(self) -> None:
        """Let go; whoever made it takes it away. No view of the bytes may be left."""


def make_memory(length: int) -> FrameMemory:
    """Make memory of at least so many bytes, all of them there.

    Raises:
        WorkerError: there is not so much.
    """
    free = psutil.virtual_memory().available
    # Linux would rather end programs than refuse pages of its own memory.
    if length > free // 2:
        raise WorkerError(
            f"the frames need {length / 1e6:.0f} MB of memory, and {free / 1e6:.0f} MB are free",
            "choose a smaller --size, or close other programs",
        )
    if sys.platform == "linux" and _others_may_open_ours():
        try:
            return _NamelessMemory.make(length)
        except OSError:
            pass  # as in a sandbox that knows no such call; the other kind says what is missing
    return _NamedMemory.make(length)


def open_memory(name: str) -> FrameMemory:
    """Open what another process made.

    Raises:
        WorkerError: it is gone.
    """
    try:
        if name.startswith(_PROCESSES):
            # The number may by now be that of another process, or of another file of the same.
            if not str(Path(name).readlink()).startswith(f"/memfd:{_LABEL}"):
                raise FileNotFoundError(f"there is another file at {name}")
            return _NamelessMemory(name, os.open(name, os.O_RDWR), owner=False)
        return _NamedMemory(SharedMemory(name=name), owner=False)
    except OSError as error:
        raise WorkerError(f"shared memory {name} is gone: {error}") from error


class _NamelessMemory:
    """A file of Linux's in memory alone, opened through the process that made it."""

    def __init__(self, name: str, descriptor: int, *, owner: bool) -> None:
        self.name = name
        self._descriptor = descriptor
        try:
            self._map = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        except BaseException:
            os.close(descriptor)
            raise
        if not owner:
            os.close(descriptor)
            self._descriptor = -1
        self.buf: memoryview | None = memoryview(self._map)

    @classmethod
    def make(cls, length: int) -> _NamelessMemory:
        descriptor = os.memfd_create(_LABEL)
        try:
            os.posix_fallocate(descriptor, 0, length)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(f"{_PROCESSES}{os.getpid()}/fd/{descriptor}", descriptor, owner=True)

    def close(self) -> None:
        if self.buf is not None:
            self.buf.release()
            self.buf = None
            self._map.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _NamedMemory:
    """The standard library's shared memory."""

    def __init__(self, memory: SharedMemory, *, owner: bool) -> None:
        self._memory = memory
        self._owner = owner

    @classmethod
    def make(cls, length: int) -> _NamedMemory:
        try:
            memory = SharedMemory(create=True, size=length)
        except OSError as error:
            raise _too_little(length, error) from error
        if sys.platform == "linux":
            try:
                descriptor = os.open(SHARED_FOLDER / memory.name, os.O_RDWR)
                try:
                    os.posix_fallocate(descriptor, 0, length)
                finally:
                    os.close(descriptor)
            except OSError as error:
                memory.close()
                memory.unlink()
                raise _too_little(length, error) from error
        return cls(memory, owner=True)

    @property
    def name(self) -> str:
        return self._memory.name

    @property
    def buf(self) -> memoryview | None:
        return self._memory.buf

    def close(self) -> None:
        self._memory.close()
        if self._owner:
            self._owner = False
            self._memory.unlink()


def _others_may_open_ours() -> bool:
    """Whether Linux lets other processes of this user see what we have open."""
    if not hasattr(os, "memfd_create"):
        return False  # a Python that was built for an older C library
    try:
        return Path(f"{_PROCESSES}{os.getpid()}/fd").stat().st_uid == os.geteuid()
    except OSError:
        return False


def _too_little(length: int, cause: OSError) -> WorkerError:
    needed = f"{length / 1e6:.0f} MB"
    if sys.platform != "linux":
        return WorkerError(
            f"{needed} of shared memory cannot be had: {cause}", "choose a smaller size"
        )
    try:
        there = f"{shutil.disk_usage(SHARED_FOLDER).free / 1e6:.0f} MB"
    except OSError:
        there = "nothing"
    return WorkerError(
        f"{SHARED_FOLDER} has {there}, {needed} are needed: {cause}",
        f"run: sudo mount -o remount,size=1G {SHARED_FOLDER}; for a container: "
        "docker run --shm-size=1g …; or choose a smaller --size",
    )
