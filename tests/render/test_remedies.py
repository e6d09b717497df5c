"""What a refusal says to do is done, to the letter, and works."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from obs_stylizer.errors import SinkError, SourceError, StylizerError, UsageError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.render.encoders import CONTAINERS, Codec
from obs_stylizer.render.file_render import Output
from obs_stylizer.render.requests import plan_requests
from obs_stylizer.render.worklist import RenderOptions, do_request
from obs_stylizer.sinks.base import SinkFormat
from obs_stylizer.sinks.spec import SinkSpec
from obs_stylizer.sinks.video_file import VideoFileSink
from tests.render.clips import Recipe, moving_pictures, write_clip
from tests.render.conftest import MakeStyle


class Renderer:
    """Renders as the command line does, and says what it was refused with."""

    def __init__(self, folder: Path, make_style: MakeStyle) -> None:
        self._folder = folder
        self._style = make_style("plain")

    def __call__(
        self, *sources: str, o: str, codec: str = "h264", container: str = "", **output: object
    ) -> list[Path]:
        options = RenderOptions(self._style, Output(codec=Codec(codec), **output))  # type: ignore[arg-type]
        target = f"{self._folder / o}{'/' if o.endswith('/') else ''}"
        requests = plan_requests(
            [str(self._folder / source) for source in sources], target, Codec(codec), container
        )
        made = []
        for request in requests:
            do_request(request, options, lambda progress: None, threading.Event())
            assert request.target is not None
            assert request.target.exists()
            made.append(request.target)
        return made

    def remedy(self, *sources: str, **options: object) -> str:
        with pytest.raises((UsageError, SourceError, SinkError)) as caught:
            self(*sources, **options)  # type: ignore[arg-type]
        return caught.value.remedy


@pytest.fixture
def render(tmp_path: Path, make_style: MakeStyle) -> Renderer:
    write_clip(tmp_path / "clip.avi", Recipe(moving_pictures(3), codec="mpeg4"))
    write_clip(tmp_path / "clip.mov", Recipe(moving_pictures(3)))
    return Renderer(tmp_path, make_style)


@pytest.mark.parametrize("codec", Codec)
def test_the_containers_that_a_codec_goes_into(render: Renderer, codec: Codec) -> None:
    for options in ({"o": "x.avi"}, {"o": "x/", "container": "avi"}):
        remedy = render.remedy("clip.avi", codec=str(codec), **options)
        named = re.findall(r"\.\w+", remedy)
        assert tuple(named) == CONTAINERS[codec]
        for suffix in named:
            if "container" in options:
                options = {"o": f"x{suffix[1:]}/", "container": suffix[1:]}
                (made,) = render("clip.avi", codec=str(codec), **options)
                assert made.suffix == suffix
            else:
                render("clip.avi", o=f"x{suffix}", codec=str(codec))


def test_a_name_and_a_container_that_do_not_agree(render: Renderer) -> None:
    remedy = render.remedy("clip.avi", o="x.mp4", container="mkv")
    assert remedy == "leave --container out, or name it x.mkv"
    render("clip.avi", o="x.mp4")
    render("clip.avi", o="x.mkv", container="mkv")


def test_several_into_one(render: Renderer) -> None:
    assert render.remedy("clip.avi", "clip.mov", o="x.mp4") == "give -o a folder"
    assert len(render("clip.avi", "clip.mov", o="x/")) == 2


def test_two_that_would_become_the_same(render: Renderer, tmp_path: Path) -> None:
    (tmp_path / "clip.wmv").write_bytes((tmp_path / "clip.avi").read_bytes())
    remedy = render.remedy("clip.avi", "clip.wmv", o="x/")
    assert remedy == "render them into different folders"
    render("clip.avi", o="x/")
    render("clip.wmv", o="y/")


def test_what_would_replace_itself(render: Renderer) -> None:
    assert render.remedy("clip.mov", o="clip.mov") == "give -o another name or folder"
    render("clip.mov", o="other.mov")
    render("clip.mov", o="other/")


def test_what_is_there_already(render: Renderer) -> None:
    render("clip.mov", o="x.mp4")
    assert render.remedy("clip.mov", o="x.mp4") == "choose another name, or use --overwrite"
    render("clip.mov", o="y.mp4")
    render("clip.mov", o="x.mp4", overwrite=True)


def test_a_size_that_an_encoder_does_not_take(render: Renderer, tmp_path: Path) -> None:
    wide = [np.full((16, 16400, 3), 40, np.uint8)] * 2
    write_clip(tmp_path / "wide.mkv", Recipe(wide, codec="ffv1"))
    remedy = render.remedy("wide.mkv", o="x.mp4")
    assert remedy == "give another --size, or --codec ffv1 and -o a name that ends in .mkv"
    render("wide.mkv", o="x.mp4", size=FrameSize(1640, 16))
    render("wide.mkv", o="x.mkv", codec="ffv1")


def test_pictures_of_several_sizes_are_no_film(render: Renderer, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for number in range(2):
        size = (32, 32 + number * 8)
        Image.new("RGB", size, (9, 9, 9)).save(tmp_path / "pictures" / f"{number}.png")
    remedy = render.remedy("pictures", o="x.mp4")
    assert remedy == "a film needs pictures of one size; for single pictures give -o a folder"
    assert len(render("pictures", o="x/")) == 2


def test_a_recordings_name(tmp_path: Path) -> None:
    def record(path: Path) -> None:
        sink = VideoFileSink(path)
        sink.open(SinkFormat(FrameSize(64, 48), 25))
        sink.send(Frame(np.zeros((48, 64, 3), np.uint8), 0, 0.0), repeated=False)
        sink.close()
        assert path.stat().st_size

    with pytest.raises(StylizerError, match="cannot be a") as caught:
        record(tmp_path / "show.avi")
    (example,) = re.findall(r"file:\w+\.\w+", caught.value.remedy)
    record(tmp_path / SinkSpec.parse(example).target)
    for suffix in re.findall(r"\.(mp4|mov)", caught.value.remedy):
        record(tmp_path / f"other.{suffix}")
