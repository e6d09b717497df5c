"""Which cameras, screens and generators there are.

Nothing here raises: an empty list says why it is empty.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

from obs_stylizer import v4l2
from obs_stylizer.errors import PortalError
from obs_stylizer.listing import Listing
from obs_stylizer.portal.session import is_wayland
from obs_stylizer.sources.device_info import (
    CameraInfo,
    GeneratorInfo,
    NodeInfo,
    ScreenInfo,
    SharedInfo,
)

log = logging.getLogger(__name__)

_VIRTUAL_NAMES: Final = ("obs virtual camera", "unity video capture", "v4l2loopback")


def list_cameras() -> Listing[CameraInfo]:
    """List the cameras, in the order of their indices."""
    try:
        found = _enumerate()
    except Exception as error:
        # The library asks each system's own service; whatever that answers, there is no list.
        log.debug("cannot list cameras", exc_info=True)
        return Listing(reason=f"cameras cannot be listed: {error}")
    if not found:
        return Listing(reason="no camera is connected, or none may be opened")
    return Listing(sorted(found, key=lambda camera: camera.index))


def list_pipewire_cameras() -> Listing[NodeInfo]:
    """List the cameras of PipeWire, in the order in which it came to know them."""
    from obs_stylizer.pipewire.registry import OWN_NODES, list_camera_nodes

    nodes = list_camera_nodes()
    found = [
        NodeInfo(node.name, node.title, node.device_path, node.name.startswith(OWN_NODES))
        for node in nodes
    ]
    return Listing(found, nodes.reason)


def list_shared() -> Listing[SharedInfo]:
    """List what the user may share of a Wayland desktop, in a dialog of the desktop's own."""
    if not is_wayland():
        return Listing(reason="this is no Wayland desktop; its screens are listed by number")
    from obs_stylizer.portal.bus import PortalBus
    from obs_stylizer.portal.screencast import Shared, screencast_version

    try:
        with PortalBus() as bus:
            _, kinds = screencast_version(bus)
    except PortalError as error:
        return Listing(reason=str(error))
    return Listing(
        SharedInfo(str(kind.name).lower(), title)
        for kind, title in (
            (Shared.SCREEN, "a screen that you choose"),
            (Shared.WINDOW, "a window that you choose"),
        )
        if kind in kinds
    )


def has_camera() -> bool:
    """Tell whether there is a real camera, one that no program feeds."""
    return any(not camera.is_virtual for camera in list_cameras())


def list_screens() -> Listing[ScreenInfo]:
    """List the screens, from 0, in the system's order."""
    from obs_stylizer.errors import SourceError
    from obs_stylizer.sources.screen import open_mss, screens_of

    try:
        with open_mss() as capture:
            screens = screens_of(capture)
    except SourceError as error:
        return Listing(reason=str(error))
    return Listing(screens, "" if screens else "no screen is switched on")


def list_generators() -> Listing[GeneratorInfo]:
    """List the generators that make pictures from noise, by name."""
    from obs_stylizer.inference.latent_model import latent_models

    found = [
        GeneratorInfo(
            model.path.stem, model.spec.title, model.frame_size.width, model.frame_size.height
        )
        for model in latent_models()
    ]
    return Listing(found, "" if found else "none of the generators makes pictures from noise")


def _enumerate() -> list[CameraInfo]:
    import cv2
    from cv2_enumerate_cameras import enumerate_cameras, supported_backends

    if sys.platform == "linux":
        return [_linux_camera(entry) for entry in enumerate_cameras(cv2.CAP_V4L2)]
    # DirectShow before Media Foundation: it opens at once, and honours what it is asked for.
    # Each camera is opened by the interface that listed it, since their indices differ.
    preferred = (cv2.CAP_DSHOW, cv2.CAP_MSMF) if sys.platform == "win32" else supported_backends
    cameras: list[CameraInfo] = []
    for backend in preferred:
        known = {camera.name for camera in cameras}
        for entry in enumerate_cameras(backend):
            if entry.name not in known:
                cameras.append(_other_camera(entry, len(cameras)))
    return cameras


def _linux_camera(entry: Any) -> CameraInfo:
    path = str(entry.path)
    try:
        is_virtual = v4l2.query_path(path).is_loopback
    except OSError:
        is_virtual = False
    return CameraInfo(
        entry.index, str(entry.name), path, int(entry.backend), entry.index, is_virtual
    )


def _other_camera(entry: Any, index: int) -> CameraInfo:
    name = str(entry.name)
    is_virtual = any(word in name.lower() for word in _VIRTUAL_NAMES)
    path = str(entry.path or "")
    return CameraInfo(index, name, path, int(entry.backend), int(entry.index), is_virtual)
