"""Frame sizes: what is taken, what is refused and how it is said."""

from __future__ import annotations

import pickle

import pytest

from obs_stylizer.errors import PresetError, UsageError
from obs_stylizer.frames import FrameSize
from obs_stylizer.sinks.spec import SinkKind, SinkSpec
from obs_stylizer.sources.spec import Region, SourceKind, SourceSpec


@pytest.mark.parametrize("text", ["1280x720", "1280X720", " 1280 x 720 ", "1280×720"])
def test_sizes_as_people_write_them(text: str) -> None:
    assert FrameSize.parse(text) == FrameSize(1280, 720)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1281x720", "is odd"),
        ("0x0", "out of range"),
        ("100000x100000", "out of range"),
        ("-2x4", "no frame size"),
        ("hd", "no frame size"),
        ("640x", "no frame size"),
        ("99999999999999x2", "no frame size"),
    ],
)
def test_sizes_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        FrameSize.parse(text)


def test_rounding_to_a_multiple() -> None:
    assert FrameSize(641, 357).rounded_to(8) == FrameSize(640, 360)
    assert FrameSize(1, 1).rounded_to(16) == FrameSize(16, 16)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("camera", SourceSpec(SourceKind.CAMERA)),
        ("camera:1", SourceSpec(SourceKind.CAMERA, "1")),
        ("camera:HD Webcam: left", SourceSpec(SourceKind.CAMERA, "HD Webcam: left")),
        ("screen", SourceSpec(SourceKind.SCREEN)),
        ("screen:2@10,20,300x200", SourceSpec(SourceKind.SCREEN, "2", Region(10, 20, 300, 200))),
        ("screen@0,0,64x64", SourceSpec(SourceKind.SCREEN, "", Region(0, 0, 64, 64))),
        ("screen?ask", SourceSpec(SourceKind.SCREEN, ask=True)),
        ("screen@0,0,9x9?ask", SourceSpec(SourceKind.SCREEN, "", Region(0, 0, 9, 9), ask=True)),
        ("window", SourceSpec(SourceKind.WINDOW)),
        ("window@1,2,30x40?ask", SourceSpec(SourceKind.WINDOW, "", Region(1, 2, 30, 40), ask=True)),
        ("camera:pipewire:cam.1", SourceSpec(SourceKind.CAMERA, "pipewire:cam.1")),
        ("file:a b.mp4", SourceSpec(SourceKind.FILE, "a b.mp4")),
        ("file:C:\\clips\\a.mp4?once", SourceSpec(SourceKind.FILE, "C:\\clips\\a.mp4", once=True)),
        ("image:a.png", SourceSpec(SourceKind.IMAGE, "a.png")),
        ("pattern", SourceSpec(SourceKind.PATTERN)),
    ],
)
def test_sources_as_written(text: str, spec: SourceSpec) -> None:
    assert SourceSpec.parse(text) == spec
    assert SourceSpec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    "text",
    [
        *("", "webcam", "file:", "image", "pattern:1", "screen:left", "screen@1,2"),
        *("camera@0,0,9x9", "window:Firefox", "window@1"),
    ],
)
def test_sources_refused(text: str) -> None:
    with pytest.raises(UsageError):
        SourceSpec.parse(text)


def test_sinks_as_written() -> None:
    assert SinkSpec.parse("virtual-camera:/dev/video2").target == "/dev/video2"
    assert SinkSpec.parse("http").port == 8765
    assert SinkSpec.parse("http:9000").port == 9000
    assert SinkSpec.parse("null").kind is SinkKind.NULL
    assert SinkSpec.parse("pipewire-camera").target == ""
    assert SinkSpec.parse("pipewire-camera:Second one").target == "Second one"
    bad_names = ("pipewire-camera:a/b", f"pipewire-camera:{'x' * 61}", 'pipewire-camera:"')
    for text in (*bad_names, "http:0", "http:99999", "http:x", "file:", "null:1", "vcam"):
        with pytest.raises(UsageError):
            SinkSpec.parse(text)


def test_errors_cross_a_pipe_whole() -> None:
    error = PresetError("is wrong", "mend it", line=3, key="title")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is PresetError
    assert str(again) == str(error) == "title: is wrong (mend it)"
    assert (again.line, again.key) == (3, "title")
