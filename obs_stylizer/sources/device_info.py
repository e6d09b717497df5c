"""What is known of a camera, a screen or a generator before it is opened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera that could be opened.

    Attributes:
        index: what to write after ``camera:``; on Linux the number of /dev/video.
        name: as the system shows it.
        path: of its device, "" where there is none.
        backend: OpenCV's number of the interface that listed it.
        device: its index within that interface.
        is_virtual: it shows what another program sends to it, so it is no first choice.
    """

    index: int
    name: str
    path: str
    backend: int
    device: int
    is_virtual: bool


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A camera that PipeWire knows.

    Attributes:
        node: what to write after ``camera:pipewire:``.
        name: as the desktop shows it.
        path: of its V4L2 device, "" where it has none.
        is_virtual: it shows what a program of ours sends to it.
    """

    node: str
    name: str
    path: str
    is_virtual: bool


@dataclass(frozen=True, slots=True)
class SharedInfo:
    """Something that the user may share of a Wayland desktop: how to ask for it, and its title."""

    source: str
    title: str


@dataclass(frozen=True, slots=True)
class ScreenInfo:
    """A screen that can be captured: its place on the desktop and its size in pixels."""

    index: int
    name: str
    left: int
    top: int
    width: int
    height: int
    is_primary: bool


@dataclass(frozen=True, slots=True)
class GeneratorInfo:
    """A generator whose walk through its noise can be shown: name, title, and size in pixels."""

    name: str
    title: str
    width: int
    height: int
