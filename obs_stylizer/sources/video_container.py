"""Video files opened and decoded, for the live source and for rendering alike."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import av
from av.codec.context import CodecContext
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from obs_stylizer.errors import SourceError
from obs_stylizer.sources.continuity import Continuity

log = logging.getLogger(__name__)

# The inference wants the cores more than the decoder does, and 720p needs no more.
_MAX_THREADS: Final = 4
# Broken packets in a row after which the file is taken to have ended.
_MAX_ERRORS: Final = 200
# Brands of files in the form of MP4 that hold pictures, the tiles of which look like videos.
_PICTURE_BRANDS: Final = frozenset({"heic", "heix", "heim", "heis", "mif1", "avif", "miaf"})
# FFmpeg draws what is in a text file, if it is asked to.
_NO_VIDEOS: Final = frozenset({"tty", "bin"})
# FFmpeg's own decoders of these leave the transparency out.
_KEEP_TRANSPARENCY: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def open_video(
    source: Path | IO[bytes], name: str, form: str | None = None
) -> tuple[InputContainer, VideoStream]:
    """Open a file and find the video in it: the first that can be decoded and is no cover.

    Args:
        source: the file, or an open binary stream.
        name: for people.
        form: FFmpeg's name of the container, where it cannot be told by looking.

    Raises:
        SourceError: there is no such file, it is no video, or there is only sound in it.
    """
    container = _open_container(source, name, form)
    try:
        stream = _video_of(container, name)
    except SourceError:
        container.close()
        raise
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = min(_MAX_THREADS, os.cpu_count() or 1)
    return container, stream


def decoded_frames(
    container: InputContainer, stream: VideoStream, warn: Callable[[str], None]
) -> Iterator[VideoFrame]:
    """Decode packet by packet, so that a broken one costs itself and not the rest.

    Args:
        container: from where it stands.
        stream: its video.
        warn: is told what is broken.
    """
    context = _context_with_transparency(stream)
    continuity = Continuity(container)
    in_a_row = 0
    packets = container.demux(stream)
    while in_a_row < _MAX_ERRORS:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            continuity.correct(packet)
            if context is None:
                frames = packet.decode()
            else:
                frames = context.decode(packet if packet.size else None)
                for frame in frames:
                    frame.time_base = stream.time_base
        except EOFError:
            return
        except (av.FFmpegError, ValueError) as error:
            in_a_row += 1
            warn(f"is damaged, what can be shown is used: {error}")
            continue
        if frames:
            in_a_row = 0
        yield from frames


def _open_container(source: Path | IO[bytes], name: str, form: str | None) -> InputContainer:
    opened: Any = source
    if isinstance(source, Path):
        try:
            if not source.exists():
                raise SourceError(f"there is no file {source}", "check the path")
            if source.is_dir():
                raise SourceError(f"{source} is a folder", "name one video in it")
        except OSError as error:
            # A name that is too long, or in a folder that may not be entered.
            raise SourceError(
                f"cannot read {source}: {error.strerror}", "check the path"
            ) from error
        # Absolute, since FFmpeg takes "a:b.mp4" for the protocol "a".
        opened = os.path.abspath(source)  # noqa: PTH100
    try:
        container: InputContainer = av.open(opened, format=form, metadata_errors="ignore")
    except PermissionError as error:
        raise SourceError(f"may not read {name}", "change its permissions") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(
            f"{name} is no video, or is cut off before its index ({error})",
            "choose another file, or convert it again",
        ) from error
    return container


def _video_of(container: InputContainer, name: str) -> VideoStream:
    videos = [
        stream
        for stream in container.streams.video
        # The cover of a song is a video stream of one picture, but no video.
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if container.format.name in _NO_VIDEOS:
        raise SourceError(f"{name} is no video", "choose another file")
    brand = container.metadata.get("major_brand", "")
    if brand in _PICTURE_BRANDS and all(stream.frames <= 1 for stream in videos):
        raise SourceError(
            f"{name} is a picture and no video",
            "give it as image:PATH"
            if name.lower().endswith((".heic", ".heif", ".hif", ".avif"))
            else "let its name end in .heic or .avif; live, give it as image:PATH",
        )
    if not videos:
        only = ", only sound" if container.streams.audio else ""
        raise SourceError(f"there is no picture in {name}{only}", "choose a file with video")
    stream = next((stream for stream in videos if stream.codec_context is not None), None)
    if stream is None:
        raise SourceError(f"{name} uses an unknown codec", "convert it to H.264")
    return stream


def _context_with_transparency(stream: VideoStream) -> VideoCodecContext | None:
    """Return a decoder that keeps the transparency which the usual one leaves out, if need be."""
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    decoder = _KEEP_TRANSPARENCY.get(stream.codec_context.name)
    if decoder is None or tags.get("alpha_mode") != "1" or decoder not in av.codecs_available:
        return None
    context = CodecContext.create(decoder, "r")
    assert isinstance(context, VideoCodecContext)
    context.extradata = stream.codec_context.extradata
    context.thread_count = stream.codec_context.thread_count
    return context
