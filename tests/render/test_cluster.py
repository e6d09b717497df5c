"""Segments rendered apart: what does not fit together is rendered again until it does."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from obs_stylizer.errors import SourceError
from obs_stylizer.render import segment_job
from obs_stylizer.render.clip import Clip
from obs_stylizer.render.cluster import Machines
from obs_stylizer.render.director import SEGMENT_FRAMES
from obs_stylizer.render.file_render import Output, RenderStoppedError
from obs_stylizer.render.segment_job import RenderedSegment, SegmentJob
from tests.render.clips import Recipe, moving_pictures, write_clip
from tests.render.conftest import MakeStyle
from tests.render.rendering import render


class InlineFuture:
    """Done as soon as it is asked; what it holds has been through pickle, as over a network."""

    def __init__(self, work: Any) -> None:
        self._work = work

    def done(self) -> bool:
        return True

    def cancel(self) -> None:
        """Nothing is under way."""

    def result(self) -> Any:
        return pickle.loads(pickle.dumps(self._work()))


class InlineClient:
    """Does the work of a cluster in this process, one piece after another."""

    def __init__(self) -> None:
        self.given: list[tuple[int, bool]] = []

    def scatter(self, value: Any, **options: Any) -> Any:
        return pickle.loads(pickle.dumps(value))

    def scheduler_info(self) -> dict[str, Any]:
        return {"workers": {"one": {}, "two": {}}}

    def submit(self, function: Any, job: Any, number: int, memory: Any, **_: Any) -> InlineFuture:
        self.given.append((number, memory is not None))
        return InlineFuture(lambda: function(job, number, memory))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "in.mp4"
    return write_clip(path, Recipe(moving_pictures(2 * SEGMENT_FRAMES + 30), sound=True))


def on_cluster(
    client: Any, source: Path, target: Path, style: Any, stop: threading.Event | None = None
) -> None:
    with Clip(source) as footage:
        Machines(client, "inline").render_file(
            footage, target, style, Output(), lambda progress: None, stop or threading.Event()
        )


def test_the_file_is_the_same(tmp_path: Path, clip: Path, make_style: MakeStyle) -> None:
    style = make_style("calm", f"{SEGMENT_FRAMES / 25:.2f}=blue")
    render(clip, tmp_path / "one.mp4", style)
    client = InlineClient()
    on_cluster(client, clip, tmp_path / "two.mp4", style)
    assert (tmp_path / "two.mp4").read_bytes() == (tmp_path / "one.mp4").read_bytes()
    # Every warm-up led to what the segment before ended with.
    assert client.given == [(0, False), (1, False), (2, False)]


def test_what_does_not_fit_is_rendered_again(
    tmp_path: Path, clip: Path, make_style: MakeStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    style = make_style("calm")
    render(clip, tmp_path / "one.mp4", style)
    monkeypatch.setattr(segment_job, "warm_up_frames", lambda shares: 1)
    client = InlineClient()
    on_cluster(client, clip, tmp_path / "two.mp4", style)
    assert client.given[:3] == [(0, False), (1, False), (2, False)]
    assert {(1, True), (2, True)} <= set(client.given)
    assert (tmp_path / "two.mp4").read_bytes() == (tmp_path / "one.mp4").read_bytes()


def test_a_stopped_cluster_is_gone_on_with(
    tmp_path: Path, clip: Path, make_style: MakeStyle
) -> None:
    style = make_style("calm")
    render(clip, tmp_path / "one.mp4", style)
    stop = threading.Event()

    class Stopping(InlineClient):
        def submit(self, *arguments: Any, **options: Any) -> InlineFuture:
            if len(self.given) == 2:
                stop.set()
            return super().submit(*arguments, **options)

    target = tmp_path / "two.mp4"
    with pytest.raises(RenderStoppedError):
        on_cluster(Stopping(), clip, target, style, stop)
    assert not target.exists()
    # What was begun on many machines can be ended on one.
    render(clip, target, style, resume=True)
    assert target.read_bytes() == (tmp_path / "one.mp4").read_bytes()


def test_a_worker_with_another_file_is_told(
    tmp_path: Path, clip: Path, make_style: MakeStyle
) -> None:
    style = make_style("invert")

    class Elsewhere(InlineClient):
        def submit(self, function: Any, job: SegmentJob, *rest: Any, **_: Any) -> InlineFuture:
            def work() -> RenderedSegment:
                found: RenderedSegment = function(
                    SegmentJob(
                        tmp_path / "gone.mp4",
                        job.stamp,
                        job.style,
                        job.facts,
                        job.runs_on,
                        job.size,
                        job.plan,
                    ),
                    *rest,
                )
                return found

            return InlineFuture(work)

    with pytest.raises(SourceError, match="a worker does not see"):
        on_cluster(Elsewhere(), clip, tmp_path / "out.mp4", style)
    assert not (tmp_path / "out.mp4").exists()
