"""Run as a process: lists the cameras, or opens one as the program does and measures it.

python -m obs_stylizer.doctor.camera_trial list TARGET
python -m obs_stylizer.doctor.camera_trial measure INDEX WIDTHxHEIGHT FPS
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import Any, Final

from obs_stylizer.doctor.children import tell
from obs_stylizer.errors import StylizerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.camera import CameraSource, find_camera
from obs_stylizer.sources.listing import list_cameras

SECONDS: Final = 1.5
"""How long pictures are counted. The first ones are left out: exposure settles in them."""

_LEFT_OUT: Final = 3


def list_all(target: str) -> dict[str, Any]:
    """List the cameras, and say which one ``target`` means."""
    cameras = list_cameras()
    told: dict[str, Any] = {
        "cameras": [asdict(camera) for camera in cameras],
        "reason": cameras.reason,
        "wanted": None,
    }
    try:
        told["wanted"] = find_camera(target).index
    except StylizerError as error:
        told |= {"wanted_error": error.message, "wanted_remedy": error.remedy}
    return told


def measure(index: int, size: FrameSize, fps: float, seconds: float = SECONDS) -> dict[str, Any]:
    """Open a camera and count what it gives.

    Raises:
        SourceLostError: it is busy, dead or gone; says by whom where the system tells.
    """
    with CameraSource(str(index), SourceOptions(frame_size=size, fps=fps)) as source:
        info = source.open()
        stamps = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            frame = source.read(0.2)
            if frame is not None:
                # Pictures that were overtaken here were given all the same.
                stamps.append((frame.sequence, frame.captured_at))
        counted = stamps[_LEFT_OUT:] if len(stamps) > _LEFT_OUT + 1 else stamps
        rate = None
        if len(counted) > 1:
            (first, begun), (last, ended) = counted[0], counted[-1]
            rate = (last - first) / max(ended - begun, 1e-6)
    given = info.frame_size
    return {
        "width": given.width,
        "height": given.height,
        "fps": rate,
        "promised_fps": info.fps,
        "details": info.detail,
    }


def main(arguments: list[str]) -> None:
    """Answer in JSON; an error on purpose is an answer too."""
    action, *rest = arguments
    try:
        if action == "list":
            tell(list_all(rest[0]))
        else:
            index, size, fps = rest
            tell(measure(int(index), FrameSize.parse(size), float(fps)))
    except StylizerError as error:
        tell({"error": error.message, "remedy": error.remedy})


if __name__ == "__main__":
    main(sys.argv[1:])
