"""The few questions that are put to a Video4Linux device, on Linux only.

A v4l2loopback device is a camera for those who read it and an output for the one who writes
it, so both sources and sinks have to tell it from a real camera.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOOPBACK_DRIVER: Final = "v4l2 loopback"
MAX_DEVICES: Final = 64

_CAP_VIDEO_CAPTURE: Final = 0x00000001
_CAP_VIDEO_OUTPUT: Final = 0x00000002
_CAP_DEVICE_CAPS: Final = 0x80000000
_BUF_TYPE_VIDEO_OUTPUT: Final = 2

# struct v4l2_capability: driver[16], card[32], bus_info[32], version, capabilities,
# device_caps, reserved[3].
_CAPABILITY: Final = struct.Struct("=16s32s32sIII12x")
# struct v4l2_format: the type, then a union of 200 bytes that is aligned as a pointer is.
_FORMAT_BYTES: Final = 208 if struct.calcsize("P") == 8 else 204
_PIX_OFFSET: Final = _FORMAT_BYTES - 200
# struct v4l2_pix_format up to where it matters: width, height, pixelformat, field,
# bytesperline, sizeimage.
_PIX_FORMAT: Final = struct.Struct("=IIIIII")


def _request(direction: int, number: int, size: int) -> int:
    return (direction << 30) | (size << 16) | (ord("V") << 8) | number


_QUERYCAP: Final = _request(2, 0, _CAPABILITY.size)
_G_FMT: Final = _request(3, 4, _FORMAT_BYTES)
_STREAMON: Final = _request(1, 18, 4)


@dataclass(frozen=True, slots=True)
class Capability:
    """What a device says of itself.

    Attributes:
        driver: such as "uvcvideo" or "v4l2 loopback".
        card: the name shown to people.
        can_capture: it can be read from now.
        can_output: it can be written to now.
    """

    driver: str
    card: str
    can_capture: bool
    can_output: bool

    @property
    def is_loopback(self) -> bool:
        """It is a virtual camera of v4l2loopback."""
        return self.driver == LOOPBACK_DRIVER

    @property
    def is_stuck(self) -> bool:
        """It forgot to offer its output again; see :func:`announce_writer`."""
        return self.is_loopback and not self.can_output and not self.can_capture


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """The picture a device takes: sides in pixels, four-character code, bytes a frame."""

    width: int
    height: int
    fourcc: str
    nbytes: int


def query_capability(descriptor: int) -> Capability:
    """Ask an open device what it is.

    Raises:
        OSError: it is no video device, or it went away.
    """
    answer = _ioctl(descriptor, _QUERYCAP, bytearray(_CAPABILITY.size))
    driver, card, _, _, everything, own = _CAPABILITY.unpack(answer)
    flags = own if everything & _CAP_DEVICE_CAPS else everything
    return Capability(
        driver=_text(driver),
        card=_text(card),
        can_capture=bool(flags & _CAP_VIDEO_CAPTURE),
        can_output=bool(flags & _CAP_VIDEO_OUTPUT),
    )


def output_format(descriptor: int) -> OutputFormat:
    """Ask an open output device what picture it takes.

    Raises:
        OSError: it takes none, or it went away.
    """
    question = bytearray(_FORMAT_BYTES)
    struct.pack_into("=I", question, 0, _BUF_TYPE_VIDEO_OUTPUT)
    answer = _ioctl(descriptor, _G_FMT, question)
    width, height, code, _, _, size = _PIX_FORMAT.unpack_from(answer, _PIX_OFFSET)
    fourcc = struct.pack("=I", code).decode("ascii", "replace")
    return OutputFormat(width, height, fourcc, size)


def announce_writer(descriptor: int) -> None:
    """Tell a loopback device that this descriptor writes to it.

    v4l2loopback before 0.13, with ``exclusive_caps``, takes its output away with the first
    frame, and gives it back only when one closes who has announced himself. Without this, a
    camera that was used once could not be used again until the module is loaded anew. Later
    versions need no telling, and may say no.
    """
    argument = bytearray(struct.pack("=I", _BUF_TYPE_VIDEO_OUTPUT))
    with contextlib.suppress(OSError):
        _ioctl(descriptor, _STREAMON, argument)


def restore_output(path: str) -> None:
    """Bring back a device that is stuck because its last writer never announced itself.

    Raises:
        OSError: it may not be opened.
    """
    descriptor = _open(path)
    try:
        announce_writer(descriptor)
    finally:
        os.close(descriptor)


FileIdentity = tuple[int, int, int]
"""File system, number in it, and number of the device: the same for every way to open it."""


def file_of(path: str) -> FileIdentity:
    """Open a device for a moment and return which file that is.

    Raises:
        OSError: it does not exist or may not be opened.
    """
    descriptor = _open(path)
    try:
        return identity_of(descriptor)
    finally:
        os.close(descriptor)


def identity_of(descriptor: int) -> FileIdentity:
    """Return which file a descriptor is open on.

    Raises:
        OSError: it is not open.
    """
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_rdev


def query_path(path: str) -> Capability:
    """Open a device for a moment and ask what it is.

    Raises:
        OSError: it does not exist, may not be opened, or is no video device.
    """
    descriptor = _open(path)
    try:
        return query_capability(descriptor)
    finally:
        os.close(descriptor)


def holders(path: str) -> list[str]:
    """Name the programs that have a device open, as "name (process 12)"; the visible ones only."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.name != str(os.getpid()) and any(
                entry.readlink() == Path(path) for entry in (process / "fd").iterdir()
            ):
                found.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
        except OSError:
            continue  # it ended meanwhile, or belongs to another user
    return found


def _open(path: str) -> int:
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "there is no Video4Linux on this platform")
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _ioctl(descriptor: int, request: int, argument: bytearray) -> bytearray:
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "there is no Video4Linux on this platform")
    import fcntl

    fcntl.ioctl(descriptor, request, argument, True)
    return argument


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
