"""Virtual cameras: whether there is one, who writes to it, and whether OBS keeps one for itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from obs_stylizer.doctor import copyable
from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.errors import UsageError
from obs_stylizer.listing import Listing
from obs_stylizer.sinks.listing import (
    READER_HINT,
    VirtualCameraInfo,
    list_pipewire_cameras,
    list_virtual_cameras,
    missing_remedy,
)
from obs_stylizer.sinks.spec import SinkKind, SinkSpec

_MODULE: Final = Path("/sys/module/v4l2loopback")
_LOADED_AT_BOOT: Final = (Path("/etc/modules-load.d"), Path("/etc/modules"))

TWO_DEVICES: Final = (
    "sudo modprobe -r v4l2loopback",
    'sudo modprobe v4l2loopback devices=2 exclusive_caps=1,1 card_label="obs-stylizer,OBS"',
)
"""Commands that give Linux two virtual cameras until it is started anew."""


def examine(notes: Notes, situation: Situation) -> Iterator[Finding]:
    """Yield the findings of this area."""
    cameras = list_virtual_cameras()
    wanted = _wanted(situation, SinkKind.VIRTUAL_CAMERA)
    if sys.platform == "linux":
        yield from _in_pipewire(notes, asked=bool(_wanted(situation, SinkKind.PIPEWIRE_CAMERA)))
    if not cameras:
        yield _none(notes, cameras.reason, asked=bool(wanted))
        return
    for camera in cameras:
        yield _described(notes, camera)
    missing = [name for name in wanted if name and not _has(cameras, name)]
    for name in missing:
        there = ", ".join(camera.device for camera in cameras)
        yield notes.fault(
            "sink", f"the configuration sends to “{name}”, which is not there", f"there is: {there}"
        )
    yield from _beside_obs(notes, cameras)
    if sys.platform == "linux" and _MODULE.is_dir():
        yield from _module(notes)


def _in_pipewire(notes: Notes, *, asked: bool) -> Iterator[Finding]:
    """Whether a camera can be made in PipeWire, which needs no kernel module."""
    cameras = list_pipewire_cameras()
    if not cameras:
        message, _, remedy = cameras.reason.partition(" (")
        if asked:
            yield notes.fault("in PipeWire", message, remedy.removesuffix(")"))
        else:
            yield notes.ok("in PipeWire", f"none can be made: {message}")
        return
    for camera in cameras:
        if camera.in_use:
            yield notes.ok("in PipeWire", f"“{camera.name}” is on air: {camera.in_use} gives it")
        else:
            seen = f"no kernel module needed: --sink pipewire-camera, by {camera.backend}"
            yield notes.ok("in PipeWire", f"{seen}. {READER_HINT}")


def _wanted(situation: Situation, kind: SinkKind) -> list[str]:
    """Devices of that kind that the configuration names; "" for the first free one."""
    found = []
    for text in situation.settings.sinks:
        try:
            spec = SinkSpec.parse(text)
        except UsageError:
            continue  # the ports' check tells it
        if spec.kind is kind:
            found.append(spec.target)
    return found


def _has(cameras: Listing[VirtualCameraInfo], name: str) -> bool:
    return any(name.casefold() in (c.device.casefold(), c.name.casefold()) for c in cameras)


def _described(notes: Notes, camera: VirtualCameraInfo) -> Finding:
    name = f"“{camera.name}”"
    if camera.device != camera.name:
        name += f" {camera.device}"
    if not camera.in_use:
        return notes.ok(name, f"free, by {camera.backend}")
    if camera.in_use.startswith("obs-stylizer"):
        return notes.ok(name, f"on air: {camera.in_use} writes to it")
    return notes.warning(
        name,
        f"{camera.in_use} writes to it",
        "close that program, or send to another: obs-stylizer run --sink virtual-camera:DEVICE",
    )


def _none(notes: Notes, reason: str, *, asked: bool) -> Finding:
    make = notes.fault if asked else notes.warning
    seen = reason.partition(": ")[0] if reason else "there is none"
    instead = copyable.program("run", "--sink", "http")
    if "may not be opened" in reason:
        return make("virtual camera", reason.partition(": ")[0], reason.partition(": ")[2])
    if sys.platform != "linux":
        return make("virtual camera", seen, f"{missing_remedy()}; or stream into OBS:", instead)
    set_up = copyable.installer("virtual-camera")
    if set_up is not None:
        remedy = "have it set up, which shows every command before it asks for root:"
        return make("virtual camera", seen, remedy, set_up)
    if _module_is_installed():
        return make(
            "virtual camera", seen, "the module is installed, but not loaded:", TWO_DEVICES[1]
        )
    return make(
        "virtual camera",
        seen,
        "install the module (the package's name is Debian's and Ubuntu's) and load it:",
        "sudo apt install v4l2loopback-dkms",
        TWO_DEVICES[1],
    )


def _module_is_installed() -> bool:
    modinfo = shutil.which("modinfo") or shutil.which("modinfo", path="/sbin:/usr/sbin")
    if modinfo is None:
        return False
    try:
        done = subprocess.run(
            [modinfo, "-n", "v4l2loopback"], capture_output=True, timeout=3, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _beside_obs(notes: Notes, cameras: Listing[VirtualCameraInfo]) -> Iterator[Finding]:
    """Whether OBS can send its own program to a camera while we send ours."""
    if len(cameras) > 1:
        yield notes.ok("beside OBS's own", f"{len(cameras)} devices: one is left for OBS")
        return
    seen = "one device: with OBS's “Start Virtual Camera” both would write to it, a green picture"
    if sys.platform == "linux":
        yield notes.warning(
            "beside OBS's own", seen, "have two (close what uses it first):", *TWO_DEVICES
        )
    elif sys.platform == "win32":
        yield notes.warning(
            "beside OBS's own",
            seen.replace(", a green picture", ""),
            "install Unity Capture (github.com/schellingb/UnityCapture), then:",
            copyable.program("run", "--sink", "virtual-camera:Unity Video Capture"),
        )
    else:
        yield notes.warning(
            "beside OBS's own",
            "macOS has one virtual camera, OBS's: while OBS sends its program to it, we cannot",
            "send a stream into an OBS media source instead:",
            copyable.program("run", "--sink", "http"),
        )


def _module(notes: Notes) -> Iterator[Finding]:
    """How v4l2loopback was loaded, and whether it is after the next start."""
    exclusive = _parameter("exclusive_caps")
    if exclusive and not exclusive.startswith("Y"):
        yield notes.warning(
            "exclusive_caps",
            "is off: Chromium and programs built on it will not list the camera",
            "load the module with it (close what uses it first):",
            *TWO_DEVICES,
        )
    if not _is_loaded_at_boot():
        set_up = copyable.installer("virtual-camera")
        by_hand = (
            "echo v4l2loopback | sudo tee /etc/modules-load.d/obs-stylizer.conf",
            "echo 'options v4l2loopback devices=2 exclusive_caps=1,1 "
            'card_label="obs-stylizer,OBS"\' | sudo tee /etc/modprobe.d/obs-stylizer.conf',
        )
        yield notes.warning(
            "after a restart",
            "nothing loads v4l2loopback at boot, so there will be no virtual camera",
            "",
            *((set_up,) if set_up else by_hand),
        )


def _parameter(name: str) -> str:
    try:
        return (_MODULE / "parameters" / name).read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _is_loaded_at_boot() -> bool:
    folder, file = _LOADED_AT_BOOT
    for path in [*sorted(folder.glob("*.conf")), file]:
        try:
            lines = path.read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        if any(line.strip() == "v4l2loopback" for line in lines):
            return True
    return False
