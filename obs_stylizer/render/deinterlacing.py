"""Whole pictures out of interlaced ones: each frame once, none added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.filter import Graph
from av.video.frame import VideoFrame


def deinterlaced(frames: Iterable[VideoFrame], time_base: Fraction) -> Iterator[VideoFrame]:
    """Yield the frames; those that are interlaced are woven anew from their two fields.

    Frames of a film that is not interlaced pass untouched. What a frame becomes depends on its
    two neighbours alone.
    """
    graph: Graph | None = None
    form: tuple[int, int, str] | None = None
    previous: VideoFrame | None = None
    for frame in frames:
        here = (frame.width, frame.height, frame.format.name)
        if graph is not None and here != form:
            yield from _drain(graph, time_base)
            graph = None
        if graph is None and frame.interlaced_frame:
            graph, form = _make_graph(frame, time_base), here
            if previous is not None and _form(previous) == here:
                # Its neighbour, which was given out already.
                graph.push(previous)
                graph.push(frame)
                skipped = _pull(graph, time_base)
                yield from [] if skipped is None else _rest(graph, time_base)
                previous = frame
                continue
        if graph is None:
            yield frame
        else:
            graph.push(frame)
            yield from _rest(graph, time_base)
        previous = frame
    if graph is not None:
        yield from _drain(graph, time_base)


def _form(frame: VideoFrame) -> tuple[int, int, str]:
    return (frame.width, frame.height, frame.format.name)


def _make_graph(frame: VideoFrame, time_base: Fraction) -> Graph:
    graph = Graph()
    entry = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=time_base
    )
    weaver = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    end = graph.add("buffersink")
    entry.link_to(weaver)
    weaver.link_to(end)
    graph.configure()
    return graph


def _pull(graph: Graph, time_base: Fraction) -> VideoFrame | None:
    try:
        frame = graph.pull()
    except (av.BlockingIOError, av.EOFError):
        return None
    assert isinstance(frame, VideoFrame)
    # The filter counts in halves of a tick.
    if frame.pts is not None and frame.time_base is not None:
        frame.pts = round(frame.pts * frame.time_base / time_base)
        frame.time_base = time_base
    return frame


def _rest(graph: Graph, time_base: Fraction) -> Iterator[VideoFrame]:
    while (frame := _pull(graph, time_base)) is not None:
        yield frame


def _drain(graph: Graph, time_base: Fraction) -> Iterator[VideoFrame]:
    graph.push(None)
    yield from _rest(graph, time_base)
