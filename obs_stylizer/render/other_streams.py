"""What a clip holds besides the pictures that are rendered, and whether a container takes it.

Muxers find out late what they cannot hold, some of it when the file is closed. So a small file with
the first packets of every stream is written to the end, in memory, before the first frame is
rendered.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from obs_stylizer.errors import SinkError
from obs_stylizer.render.clip import Clip, Footage
from obs_stylizer.render.colour import ToVideo
from obs_stylizer.render.encoders import EncoderPlan

log = logging.getLogger(__name__)

FORMATS: Final = {
    ".mp4": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
"""FFmpeg's name of every container."""

# A cover is a stream of its own in .mp4 and an attached file in .mkv; FFmpeg writes no other.
_ATTACHED: Final = ".mkv"
_COVERS: Final = (".mp4", _ATTACHED)
_MIME_TYPES: Final = {
    "mjpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "webp": "image/webp",
}
_ENDINGS: Final = {"image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/bmp": "bmp"}
# How a layout is called of which only the number of channels is known.
_COUNTED: Final = re.compile(r"(\d+) channels?")
# Packets read to get the first of every stream; subtitles may begin later than that.
_TRIED_PACKETS: Final = 400
# Some sound, such as E-AC-3, is understood only after its second packet.
_PACKETS_EACH: Final = 4
_REFUSALS: Final = (av.FFmpegError, ValueError, OSError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class OtherStream:
    """A stream of the clip that is copied.

    Attributes:
        index: in the clip.
        kind: audio, subtitle, video, attachment or data.
        label: for people.
        cover: the file of a picture that stands for the whole, as of a song, as its bytes; None
            for every other stream.
    """

    index: int
    kind: str
    label: str
    cover: bytes | None = None


def streams_to_copy(
    clip: Footage, suffix: str, plan: EncoderPlan, dropped: Sequence[str], containers: Sequence[str]
) -> list[OtherStream]:
    """Return the streams that will be copied; find out now whether the container takes them.

    What is left out without being asked to is told.

    Args:
        clip: whose streams they are.
        suffix: of the container.
        plan: how the pictures will be encoded.
        dropped: kinds and numbers of streams that are not wanted.
        containers: suffixes of all containers that the pictures could go into.

    Raises:
        SinkError: it does not take one of them, or the encoder does not start.
    """
    trial = _Trial(clip, plan)
    wanted = _wanted(clip, dropped)
    if trial.refusal(suffix, wanted) is None and _takes_covers(suffix, wanted):
        return wanted
    # The pictures alone first, so that nothing is blamed for their failing.
    _check_pictures(trial, suffix, plan, [])
    kept: list[OtherStream] = []
    for other in wanted:
        error = trial.refusal(suffix, [other])
        if error is None and _takes_covers(suffix, [other]):
            kept.append(other)
        elif other.kind == "attachment" or other.cover is not None:
            _tell_left_out(clip, other, suffix, containers)
        else:
            raise SinkError(
                f"{suffix} cannot hold {other.label} of {clip.name}: {error}",
                _remedy(trial, other, wanted, [one for one in containers if one != suffix]),
            ) from error
    _check_pictures(trial, suffix, plan, kept)
    return kept


def _check_pictures(
    trial: _Trial, suffix: str, plan: EncoderPlan, others: Sequence[OtherStream]
) -> None:
    error = trial.refusal(suffix, others)
    if isinstance(error, SinkError):
        raise error
    if error is not None:
        drops = " ".join(f"--drop {other.index}" for other in others)
        raise SinkError(
            f"{suffix} cannot be written with {plan.encoder}: {error}",
            f"leave the other streams out with {drops}" if drops else "choose another --codec",
        ) from error


def _wanted(clip: Footage, dropped: Sequence[str]) -> list[OtherStream]:
    """Return all streams but those that are rendered, dropped, or that nobody can read."""
    found: list[OtherStream] = []
    if not isinstance(clip, Clip) or clip.path is None:
        return found
    for stream in clip.container.streams:
        if stream.index == clip.stream.index or {stream.type, str(stream.index)} & set(dropped):
            continue
        context = stream.codec_context
        codec = context.name if context is not None else "unknown"
        label = f"{stream.type} stream {stream.index} ({codec})"
        if stream.type == "data":
            # What cameras note for themselves; muxers take it or fail at the very end.
            log.info("%s: %s is left out", clip.name, label)
        elif context is None and stream.type != "attachment":
            log.warning("%s: %s is left out, its codec is not known", clip.name, label)
        else:
            is_cover = bool(stream.disposition & Disposition.attached_pic)
            cover = _cover(clip, stream.index) if is_cover else None
            found.append(OtherStream(stream.index, stream.type, label, cover))
    return found


def _cover(clip: Clip, index: int) -> bytes:
    with clip.reopened() as container:
        packet = next(iter(container.demux(container.streams[index])), None)
        return b"" if packet is None else bytes(packet)


def _takes_covers(suffix: str, others: Iterable[OtherStream]) -> bool:
    """Whether covers survive; other containers take the stream and lose the picture."""
    return suffix in _COVERS or all(other.cover is None for other in others)


def _tell_left_out(
    clip: Footage, other: OtherStream, suffix: str, containers: Sequence[str]
) -> None:
    what = "its cover picture" if other.cover is not None else other.label
    able = [
        container
        for container in (_COVERS if other.cover is not None else (_ATTACHED,))
        if container in containers and container != suffix
    ]
    can = f" ({' and '.join(able)} can)" if able else ""
    log.warning("%s: %s is left out, %s cannot hold it%s", clip.name, what, suffix, can)


def _remedy(
    trial: _Trial, other: OtherStream, wanted: Sequence[OtherStream], containers: Sequence[str]
) -> str:
    drop = f"--drop {other.index}"
    able = next((one for one in containers if trial.refusal(one, wanted) is None), None)
    if able is None:
        return f"leave it out with {drop}"
    return (
        f"give -o a name that ends in {able}, or a folder and --container {able[1:]}, "
        f"or leave it out with {drop}"
    )


class _Trial:
    """Writes small files to find out what a container takes."""

    def __init__(self, clip: Footage, plan: EncoderPlan) -> None:
        self._clip = clip
        self._plan = plan
        self._packets: dict[int, list[Packet[Any]]] | None = None

    def refusal(self, suffix: str, others: Sequence[OtherStream]) -> Exception | None:
        """Return why a file with the pictures and these streams cannot be written, or None."""
        try:
            self._write(suffix, others)
        except (SinkError, *_REFUSALS) as error:
            return error
        return None

    def _write(self, suffix: str, others: Sequence[OtherStream]) -> None:
        clip, plan = self._clip, self._plan
        # The muxer has no codec of its own to fail in: a missing encoder is told by its name.
        plan.open()
        with av.open(BytesIO(), "w", format=FORMATS[suffix]) as output:
            video = add_video(output, plan)
            source = clip.container if isinstance(clip, Clip) else None
            copies = add_others(output, source, others, suffix)
            output.start_encoding()
            frame = ToVideo(plan.pixel_format, plan.colour)(np.zeros(plan.size.shape, np.uint8))
            frame.pts, frame.time_base = 0, plan.time_base
            for picture in (*video.encode(frame), *video.encode(None)):
                # Encoders that look ahead give the only picture any time for decoding.
                picture.pts = picture.dts = 0
                output.mux(picture)
            for index, copy in copies.items():
                for number, packet in enumerate(self._first(others).get(index, ())):
                    output.mux(_copied(packet, copy, number))

    def _first(self, others: Sequence[OtherStream]) -> Mapping[int, Sequence[Packet[Any]]]:
        """Return the first packets of every stream that begins early enough."""
        if self._packets is None:
            assert isinstance(self._clip, Clip)
            self._packets = {}
            missing = {other.index for other in others}
            with self._clip.reopened() as container:
                for packet in itertools.islice(container.demux(), _TRIED_PACKETS):
                    held = self._packets.setdefault(packet.stream_index, [])
                    if packet.size and len(held) < _PACKETS_EACH:
                        held.append(packet)
                    if len(held) == _PACKETS_EACH:
                        missing.discard(packet.stream_index)
                    if not missing:
                        break
        return self._packets


def _copied(packet: Packet[Any], stream: Any, number: int) -> Packet[Any]:
    """Return a packet of its own for ``stream``, near the beginning of the file."""
    copy: Packet[Any] = av.Packet(bytes(packet))
    copy.time_base = packet.time_base
    copy.pts = copy.dts = number * max(1, packet.duration or 0)
    copy.duration = packet.duration
    copy.is_keyframe = packet.is_keyframe
    copy.stream = stream
    return copy


def add_video(output: OutputContainer, plan: EncoderPlan) -> VideoStream:
    """Add the stream of the pictures that ``plan`` encodes."""
    stream = output.add_stream(plan.encoder, rate=plan.rate, options=dict(plan.options))
    assert isinstance(stream, VideoStream)
    plan.configure(stream.codec_context)
    stream.time_base = plan.time_base
    if plan.aspect is not None:
        stream.sample_aspect_ratio = plan.aspect
    return stream


def add_others(
    output: OutputContainer,
    source: InputContainer | None,
    others: Sequence[OtherStream],
    suffix: str,
) -> dict[int, Any]:
    """Add the other streams.

    Returns:
        Those that packets have to be written to, by their number in the clip.
    """
    copies: dict[int, Any] = {}
    if source is None:
        return copies
    for other in others:
        template: Any = source.streams[other.index]
        tags = {k: v for k, v in template.metadata.items() if k.lower() != "duration"}
        if other.cover is not None and suffix == _ATTACHED:
            codec = template.codec_context.name
            mime = tags.get("mimetype") or _MIME_TYPES.get(codec, "application/octet-stream")
            name = tags.get("filename") or f"cover.{_ENDINGS.get(mime, 'bin')}"
            attached: Any = output.add_attachment(name, mime, other.cover)
            attached.metadata.update(tags)
            continue
        copy: Any = output.add_stream_from_template(template, opaque=True)
        copy.metadata.update(tags)
        copy.disposition = template.disposition
        counted = _COUNTED.fullmatch(copy.codec_context.layout.name) if _is_sound(copy) else None
        if counted is not None:
            # Which channel is which nobody says; the usual order, as FFmpeg itself has it.
            copy.codec_context.layout = f"{counted[1]}c"
        copies[other.index] = copy
    return copies


def _is_sound(stream: Any) -> bool:
    return bool(stream.type == "audio" and stream.codec_context is not None)
