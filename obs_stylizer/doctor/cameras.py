"""Cameras: whether they open, and the size and rate that they really give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from obs_stylizer.doctor import copyable
from obs_stylizer.doctor.children import ask, failed
from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.errors import UsageError, WorkerError
from obs_stylizer.sources.spec import SourceKind, SourceSpec

_TRIAL: Final = "obs_stylizer.doctor.camera_trial"
_LIST_SECONDS: Final = 6.0
_MEASURE_SECONDS: Final = 7.0

_FPS: Final = 30.0
"""Asked for where the configuration names no rate."""

_SHARE: Final = 0.85
"""Of the rate asked for, that a camera must give to be called ok."""


def examine(notes: Notes, situation: Situation) -> Iterator[Finding]:
    """Yield the findings of this area."""
    spec = _wanted(situation)
    if isinstance(spec, UsageError):
        yield notes.fault("source", spec.message, spec.remedy)
        spec = None
    is_camera = spec is not None and spec.kind is SourceKind.CAMERA
    try:
        listed = ask(
            _TRIAL, "list", spec.target if spec and is_camera else "", seconds=_LIST_SECONDS
        )
    except WorkerError as error:
        yield failed(notes, "cameras", "listing them", error)
        return
    real = [camera for camera in listed["cameras"] if not camera["is_virtual"]]
    if is_camera and listed["wanted"] is None and (real or situation.settings.source):
        yield notes.fault("source", listed["wanted_error"], listed["wanted_remedy"])
    if not real:
        yield _none(notes, listed["reason"], needed=spec is None or is_camera)
    for camera in real:
        yield _examined(notes, situation, camera)


def _wanted(situation: Situation) -> SourceSpec | UsageError | None:
    """The source in the settings; None where the program may choose."""
    if not situation.settings.source:
        return None
    try:
        return SourceSpec.parse(situation.settings.source)
    except UsageError as error:
        return error


def _none(notes: Notes, reason: str, *, needed: bool) -> Finding:
    seen = reason or "there are only virtual ones"
    if not needed:
        return notes.ok("cameras", f"{seen}; the configuration needs none")
    return notes.warning(
        "cameras",
        f"{seen}; a test pattern is shown instead",
        "plug one in, or use another source:",
        copyable.program("run", "--source", "screen"),
    )


def _examined(notes: Notes, situation: Situation, camera: dict[str, Any]) -> Finding:
    name = f"camera {camera['index']} “{camera['name']}”"
    holder = situation.on_air.get(f"camera {camera['path'] or camera['name']}")
    if holder is not None:
        return notes.ok(name, f"in use by {holder}")
    if situation.on_air:
        return notes.ok(
            name,
            f"there; not opened, since {situation.broadcaster} is on air and may be waiting for it",
        )
    size = situation.settings.size
    fps = situation.settings.fps or _FPS
    try:
        result = ask(
            _TRIAL, "measure", str(camera["index"]), size, str(fps), seconds=_MEASURE_SECONDS
        )
    except WorkerError as error:
        error.remedy = "its driver hangs or crashes: unplug it and plug it in again"
        return failed(notes, name, "", error)
    if "error" in result:
        return notes.warning(name, result["error"], result["remedy"])
    return judge(notes, name, camera["index"], result, size, fps)


def judge(
    notes: Notes, name: str, index: int, result: dict[str, Any], size: str, fps: float
) -> Finding:
    """Say what a measurement means.

    Args:
        notes: of this area.
        name: of the row.
        index: the camera's number.
        result: as the trial tells it.
        size: WIDTHxHEIGHT asked for.
        fps: the rate asked for.
    """
    given = f"{result['width']}x{result['height']}"
    rate = result["fps"]
    if rate is None:
        return notes.fault(
            name, "opens, but gives no moving picture", "unplug it and plug it in again"
        )
    seen = f"gives {given} at {rate:.1f} fps; {result['details']}"
    if rate < _SHARE * fps:
        promised = result["promised_fps"] or fps
        why = (
            "many cameras halve their rate in the dark: give it light, or another USB port, or "
            if promised >= _SHARE * fps
            else f"it has no {fps:g} fps at that size: "
        )
        less = ("--source", f"camera:{index}", "--size", "640x480")
        return notes.warning(name, seen, f"{why}ask for less:", copyable.program("run", *less))
    if given != size:
        return notes.ok(name, f"{seen} (scaled to {size})")
    return notes.ok(name, seen)
