"""Which virtual cameras there are. Nothing here raises: an empty list says why it is empty."""

from __future__ import annotations

import errno
import logging
import sys
from dataclasses import dataclass, replace
from typing import Final

from obs_stylizer import v4l2
from obs_stylizer.listing import Listing
from obs_stylizer.locks import holder_of

log = logging.getLogger(__name__)

REMEDIES: Final = {
    "linux": "sudo apt install v4l2loopback-dkms, then sudo modprobe v4l2loopback exclusive_caps=1 "
    'card_label="obs-stylizer"',
    "win32": "install OBS Studio (its virtual camera), or Unity Capture beside it",
    "darwin": "install OBS 30 or newer, start its virtual camera once, and allow it in the "
    "system settings",
}
"""What brings a virtual camera to a machine, by platform."""

READER_HINT: Final = (
    "Chromium and Chrome: turn on chrome://flags/#enable-webrtc-pipewire-camera; Firefox: set "
    "media.webrtc.camera.allow-pipewire in about:config; OBS 30 and newer: Video Capture Device "
    "(PipeWire); programs that know V4L2 only: pw-v4l2 PROGRAM"
)
"""What other programs need, to see a camera of PipeWire."""

VIDEO_GROUP_REMEDY: Final = (
    "add yourself to the group video: sudo usermod -a -G video $USER, then log in again"
)


@dataclass(frozen=True, slots=True)
class VirtualCameraInfo:
    """A virtual camera that frames can be sent to.

    Attributes:
        device: what to write after ``virtual-camera:``.
        name: as other programs show it.
        backend: the interface of pyvirtualcam that feeds it.
        in_use: in words, who sends to it now; "" where it is free.
    """

    device: str
    name: str
    backend: str
    in_use: str = ""


def list_virtual_cameras() -> Listing[VirtualCameraInfo]:
    """List the virtual cameras, in the order in which they are tried."""
    if sys.platform == "linux":
        return _list_loopbacks()
    try:
        return _list_registered()
    except Exception as error:
        # A back end that cannot be loaded must not keep the other devices off the list.
        log.debug("cannot list virtual cameras", exc_info=True)
        return Listing(reason=f"virtual cameras cannot be listed: {error}")


def list_pipewire_cameras() -> Listing[VirtualCameraInfo]:
    """List the camera that can be made in PipeWire, without any kernel module."""
    from obs_stylizer.pipewire.library import library_version
    from obs_stylizer.pipewire.registry import pipewire_trouble
    from obs_stylizer.sinks.pipewire_camera import DEFAULT_NAME
    from obs_stylizer.sinks.pipewire_camera import lock_name as lock_of_node

    trouble = pipewire_trouble()
    if trouble is not None:
        return Listing(reason=str(trouble))
    in_use = str(holder_of(lock_of_node(DEFAULT_NAME)) or "")
    by = f"PipeWire {library_version()}"
    return Listing([VirtualCameraInfo(DEFAULT_NAME, DEFAULT_NAME, by, in_use)])


def lock_name(device: str) -> str:
    """What the lock on a virtual camera is called."""
    return f"virtual camera {device}"


def missing_remedy() -> str:
    """What brings a virtual camera to this machine."""
    return REMEDIES.get(sys.platform, "this platform has no virtual camera; use http")


def _list_loopbacks() -> Listing[VirtualCameraInfo]:
    found: list[VirtualCameraInfo] = []
    forbidden: list[str] = []
    # By opening and not by /sys, so that devices are found wherever they come from.
    for number in range(v4l2.MAX_DEVICES):
        path = f"/dev/video{number}"
        try:
            capability = v4l2.query_path(path)
        except OSError as error:
            if error.errno == errno.EACCES:
                forbidden.append(path)
            continue
        if capability.is_loopback:
            found.append(_loopback(path, capability))
    if found:
        return Listing(found)
    if forbidden:
        return Listing(reason=f"{', '.join(forbidden)} may not be opened: {VIDEO_GROUP_REMEDY}")
    return Listing(reason=f"there is no v4l2loopback device: {missing_remedy()}")


def _loopback(path: str, capability: v4l2.Capability) -> VirtualCameraInfo:
    holder = holder_of(lock_name(path))
    if holder is not None:
        in_use = str(holder)
    elif not capability.can_output and not capability.is_stuck:
        # With exclusive_caps, a device that has a writer offers itself to no second one.
        in_use = ", ".join(v4l2.holders(path)) or "another program"
    else:
        in_use = ""
    return VirtualCameraInfo(path, capability.card, "v4l2loopback", in_use)


def _list_registered() -> Listing[VirtualCameraInfo]:
    found: list[VirtualCameraInfo] = []
    if sys.platform == "win32":
        found += _list_registry()
    elif sys.platform == "darwin":
        # Nothing tells whether its system extension is there but opening it.
        found.append(VirtualCameraInfo("OBS Virtual Camera", "OBS Virtual Camera", "obs"))
    found = [
        replace(camera, in_use=str(holder_of(lock_name(camera.device)) or "")) for camera in found
    ]
    return Listing(found, "" if found else f"there is no virtual camera: {missing_remedy()}")


def _list_registry() -> list[VirtualCameraInfo]:
    """Look in the registry of Windows where the back ends of pyvirtualcam look."""
    if sys.platform != "win32":
        return []
    import winreg

    def default_value(key: str) -> str | None:
        try:
            return str(winreg.QueryValue(winreg.HKEY_CLASSES_ROOT, key))
        except OSError:
            return None

    found = []
    if default_value(r"CLSID\{A3FCE0F5-3493-419F-958A-ABA1250EC20B}") is not None:
        found.append(VirtualCameraInfo("OBS Virtual Camera", "OBS Virtual Camera", "obs"))
    # Unity Capture registers up to ten devices; number 1 of its class names is left out.
    for number in (0, *range(2, 11)):
        name = default_value(rf"CLSID\{{5C2CD55C-92AD-4999-8666-912BD3E700{0x10 + number:02X}}}")
        if name:
            found.append(VirtualCameraInfo(name.strip(), name.strip(), "unitycapture"))
    return found
