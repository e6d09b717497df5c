"""Adds our picture to a scene of OBS: first the plan, in words, then, when asked for, the deed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from obs_stylizer.control.obs.connection import Connection
from obs_stylizer.errors import ObsError
from obs_stylizer.settings import Settings, is_this_machine
from obs_stylizer.sinks.spec import SinkKind, SinkSpec

log = logging.getLogger(__name__)

INPUT_NAME: Final = "obs-stylizer"
"""What our input is called in OBS."""


@dataclass(frozen=True, slots=True)
class Feed:
    """The way our picture comes into OBS.

    Attributes:
        kinds: of input in OBS, best first; the first that this OBS has is taken.
        settings: of that input.
        device: name to look for among the values of ``device_property``, where OBS alone knows
            what its devices are called.
        about: for people.
    """

    kinds: tuple[str, ...]
    settings: Mapping[str, Any]
    about: str
    device: str = ""
    device_property: str = ""


def device_feed(device: str, platform: str = sys.platform) -> Feed:
    """Return the input that shows a virtual camera on a platform. Only Linux's has been run."""
    if platform == "linux":
        settings = {"device_id": device, "input": 0, "buffering": False}
        return Feed(("v4l2_input",), settings, f"the virtual camera {device}")
    about = f"the virtual camera “{device}”"
    if platform == "win32":
        return Feed(("dshow_input",), {"buffering": 1}, about, device, "video_device_id")
    kinds = ("macos-avcapture", "av_capture_input_v2", "av_capture_input")
    return Feed(kinds, {}, about, device, "device")


def stream_feed(port: int, token: str) -> Feed:
    """Return the input that shows the HTTP stream, which the token lets in."""
    url = f"http://127.0.0.1:{port}/stream.mjpg"
    settings = {
        "is_local_file": False,
        "input": f"{url}?token={token}",
        "input_format": "mjpeg",
        "buffering_mb": 0,
        "reconnect_delay_sec": 1,
        "close_when_inactive": False,
        "hw_decode": False,
        # Frames are shown as they come. Left alone, OBS plays them at 25 a second, and falls
        # further behind a faster stream all the time.
        "ffmpeg_options": "use_wallclock_as_timestamps=1 fflags=nobuffer",
    }
    return Feed(("ffmpeg_source",), settings, f"the stream {url}")


def feed_for(
    settings: Settings, cameras: Sequence[str], why_none: str = "", token: str = ""
) -> tuple[Feed, str]:
    """Decide what OBS is to show, as ``run`` decides what to send to; also say why in a word.

    Args:
        cameras: the virtual cameras there are.
        why_none: why there is none.
        token: that lets OBS see the stream.

    Raises:
        ObsError: nothing that we send can be seen by that OBS.
    """
    if not is_this_machine(settings.obs.host):
        raise ObsError(
            f"OBS runs on another machine ({settings.obs.host}) and cannot see devices of this one",
            "set web.address, and in that OBS add a media source with "
            f"http://THIS-MACHINE:{settings.web.port}/stream.mjpg?token=… (README, “OBS”)",
        )
    for sink in map(SinkSpec.parse, settings.sinks):
        if sink.kind is SinkKind.VIRTUAL_CAMERA:
            device = sink.target or next(iter(cameras), "")
            if not device:
                raise ObsError(f"there is no virtual camera: {why_none}", "see the README")
            return device_feed(device), "as the settings say"
        if sink.kind is SinkKind.HTTP:
            return stream_feed(sink.port, token), "as the settings say"
    if cameras:
        return device_feed(cameras[0]), "the first there is"
    return stream_feed(settings.web.port, token), "because there is no virtual camera"


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done in OBS, and in which words to ask for it."""

    scene: str
    kind: str
    feed: Feed
    create: bool = False
    change: bool = False
    place: bool = False
    canvas: tuple[float, float] = (0.0, 0.0)
    steps: tuple[str, ...] = field(default=())


def make_plan(connection: Connection, feed: Feed, scene: str = "") -> Plan:
    """Look at OBS and decide what is missing; nothing is changed.

    Raises:
        ObsError: there is no such scene, no fitting kind of input, or the name is taken.
    """
    scenes = connection.ask("GetSceneList")
    names = [str(item["sceneName"]) for item in scenes["scenes"]]
    scene = scene or str(scenes["currentProgramSceneName"])
    if scene not in names:
        near = get_close_matches(scene, names, n=1)
        raise ObsError(
            f"OBS has no scene “{scene}”",
            f"did you mean “{near[0]}”?" if near else f"it has: {', '.join(reversed(names))}",
        )
    known = connection.ask("GetInputKindList", unversioned=False)["inputKinds"]
    kind = next((kind for kind in feed.kinds if kind in known), "")
    if not kind:
        raise ObsError(
            f"this OBS has no input of the kind {' or '.join(feed.kinds)}",
            "install its plug-in, or use --sink http",
        )
    inputs = {
        str(item["inputName"]): str(item["inputKind"])
        for item in connection.ask("GetInputList")["inputs"]
    }
    create = INPUT_NAME not in inputs
    if not create and inputs[INPUT_NAME] not in feed.kinds:
        raise ObsError(
            f"OBS has an input “{INPUT_NAME}” already, of another kind ({inputs[INPUT_NAME]})",
            "rename or remove it in OBS, then do this again",
        )
    change = not create and _differs(connection, feed)
    place = create or not _is_in(connection, scene)
    video = connection.ask("GetVideoSettings")
    canvas = (float(video["baseWidth"]), float(video["baseHeight"]))
    steps = []
    if create:
        steps.append(f"add an input “{INPUT_NAME}” that shows {feed.about}")
    if change:
        steps.append(f"let the input “{INPUT_NAME}” show {feed.about}")
    if place:
        steps.append(f"put it into the scene “{scene}”, on top, as large as the picture")
    return Plan(scene, kind, feed, create, change, place, canvas, tuple(steps))


def carry_out(connection: Connection, plan: Plan) -> None:
    """Do what the plan says. What was begun and fails is taken back.

    Raises:
        ObsError: OBS refuses a step.
    """
    if plan.create:
        made = connection.ask(
            "CreateInput",
            sceneName=plan.scene,
            inputName=INPUT_NAME,
            inputKind=plan.kind,
            inputSettings=dict(plan.feed.settings),
            sceneItemEnabled=True,
        )
        try:
            if plan.feed.device_property:
                _choose_device(connection, plan.feed)
            _fill_canvas(connection, plan, int(made["sceneItemId"]))
        except ObsError:
            connection.ask("RemoveInput", inputName=INPUT_NAME)
            raise
        return
    if plan.change:
        connection.ask(
            "SetInputSettings", inputName=INPUT_NAME, inputSettings=dict(plan.feed.settings)
        )
        if plan.feed.device_property:
            _choose_device(connection, plan.feed)
    if plan.place:
        made = connection.ask(
            "CreateSceneItem", sceneName=plan.scene, sourceName=INPUT_NAME, sceneItemEnabled=True
        )
        _fill_canvas(connection, plan, int(made["sceneItemId"]))


def _differs(connection: Connection, feed: Feed) -> bool:
    """Whether our input shows something else than it should."""
    found = connection.ask("GetInputSettings", inputName=INPUT_NAME)["inputSettings"]
    if any(found.get(key) != value for key, value in feed.settings.items()):
        return True
    if not feed.device_property:
        return False
    return bool(found.get(feed.device_property) != _value_of_device(connection, feed))


def _is_in(connection: Connection, scene: str) -> bool:
    items = connection.ask("GetSceneItemList", sceneName=scene)["sceneItems"]
    return any(item["sourceName"] == INPUT_NAME for item in items)


def _choose_device(connection: Connection, feed: Feed) -> None:
    value = _value_of_device(connection, feed)
    connection.ask(
        "SetInputSettings", inputName=INPUT_NAME, inputSettings={feed.device_property: value}
    )


def _value_of_device(connection: Connection, feed: Feed) -> Any:
    """Return what OBS calls the device inside."""
    items = connection.ask(
        "GetInputPropertiesListPropertyItems",
        inputName=INPUT_NAME,
        propertyName=feed.device_property,
    )["propertyItems"]
    for item in items:
        if feed.device.casefold() in str(item["itemName"]).casefold():
            return item["itemValue"]
    there = ", ".join(str(item["itemName"]) for item in items) or "none"
    raise ObsError(f"OBS does not see “{feed.device}”", f"it sees: {there}")


def _fill_canvas(connection: Connection, plan: Plan, item: int) -> None:
    width, height = plan.canvas
    connection.ask(
        "SetSceneItemTransform",
        sceneName=plan.scene,
        sceneItemId=item,
        sceneItemTransform={
            "positionX": 0,
            "positionY": 0,
            "alignment": 5,
            "boundsType": "OBS_BOUNDS_SCALE_INNER",
            "boundsAlignment": 0,
            "boundsWidth": width,
            "boundsHeight": height,
        },
    )
