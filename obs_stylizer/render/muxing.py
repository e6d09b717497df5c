"""The finished file: all segments one after another, and everything else of the clip untouched."""

from __future__ import annotations

import base64
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from obs_stylizer.errors import SinkError
from obs_stylizer.render.clip import Clip, Footage
from obs_stylizer.render.encoders import EncoderPlan
from obs_stylizer.render.segment_file import SegmentNote, read_note, read_packets

log = logging.getLogger(__name__)


# Without these, the same packets would make another file every time.
_SAME_EVERY_TIME: Final = {"fflags": "+bitexact"}
_FORMATS: Final = {
    ".mp4": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
# What a container says about itself, or about the video that was replaced.
_OWN_TAGS: Final = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
)
# A clip that begins later than this many seconds was cut out of a broadcast.
_LATE_START: Final = 10
_COPIED: Final = ("audio", "subtitle", "video", "attachment", "data")


@dataclass(frozen=True, slots=True)
class OtherStream:
    """A stream of the clip that is copied.

    Attributes:
        index: in the clip.
        kind: audio, subtitle, video, attachment or data.
        label: for people.
        is_cover: whether it is one picture that stands for the whole, as of a song.
    """

    index: int
    kind: str
    label: str
    is_cover: bool


def other_streams(clip: Footage) -> list[OtherStream]:
    """Return all streams of ``clip`` but the one that is rendered."""
    found: list[OtherStream] = []
    if not isinstance(clip, Clip) or clip.path is None:
        return found
    for stream in clip.container.streams:
        if stream.index == clip.stream.index:
            continue
        context = stream.codec_context
        codec = context.name if context is not None else "unknown"
        label = f"{stream.type} stream {stream.index} ({codec})"
        cover = bool(stream.disposition & Disposition.attached_pic)
        found.append(OtherStream(stream.index, stream.type, label, cover))
    return found


def check_container(
    clip: Footage, suffix: str, plan: EncoderPlan, dropped: Sequence[str]
) -> list[OtherStream]:
    """Return the streams that will be copied; find out now whether the container takes them.

    Raises:
        SinkError: it does not take one of them, or the encoder does not start.
    """
    kept: list[OtherStream] = []
    for other in other_streams(clip):
        if other.kind in dropped:
            continue
        if other.kind == "data":
            # What cameras note for themselves; muxers take it or fail at the very end.
            log.info("%s: %s is left out", clip.name, other.label)
            continue
        if other.is_cover and suffix != ".mp4":
            # Others take the stream and lose the picture.
            log.warning("%s: its cover picture is left out, only .mp4 can hold it", clip.name)
            continue
        try:
            _try_header(clip, suffix, plan, [other])
        except (av.FFmpegError, ValueError, OSError, NotImplementedError) as error:
            if other.kind == "attachment":
                log.warning("%s: %s is left out, %s cannot hold it", clip.name, other.label, suffix)
                continue
            raise SinkError(
                f"{suffix} cannot hold {other.label} of {clip.name}: {error}",
                f"use another --container such as mkv, or --drop {other.kind}",
            ) from error
        kept.append(other)
    try:
        _try_header(clip, suffix, plan, kept)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise SinkError(
            f"{suffix} cannot be written with {plan.encoder}: {error}",
            "use another --container such as mkv",
        ) from error
    return kept


def _try_header(
    clip: Footage, suffix: str, plan: EncoderPlan, others: Sequence[OtherStream]
) -> None:
    sink = BytesIO()
    with av.open(sink, "w", format=_FORMATS[suffix]) as output:
        _add_video(output, plan)
        if isinstance(clip, Clip):
            _add_others(output, clip.container, others)
        output.start_encoding()


def mux(
    clip: Footage,
    folder: Path,
    notes: Sequence[SegmentNote],
    plan: EncoderPlan,
    others: Sequence[OtherStream],
    target: Path,
    check: Callable[[], None],
) -> None:
    """Write ``target``: the segments' pictures, and the other streams of the clip as they are.

    Args:
        clip: where the other streams come from.
        folder: where the segments are.
        notes: of all segments, in order.
        plan: what they were encoded with.
        others: streams to copy.
        target: the file; it must not have the final name yet.
        check: called now and then; raises to stop.

    Raises:
        SinkError: it cannot be written.
    """
    suffix = target.suffix.lower()
    options = dict(_SAME_EVERY_TIME)
    if suffix in (".mp4", ".mov"):
        # The index goes ahead, so that a browser can begin before it has all.
        options["movflags"] = "+faststart"
        if isinstance(clip, Clip) and any(k.startswith("com.") for k in clip.container.metadata):
            # What telephones write, such as the place, is kept only on request.
            options["movflags"] += "+use_metadata_tags"
    try:
        output = av.open(
            os.path.abspath(target),  # noqa: PTH100
            "w",
            format=_FORMATS[suffix],
            container_options=options,
        )
    except (av.FFmpegError, OSError) as error:
        raise SinkError(f"cannot write {target}: {error}", "choose another folder") from error
    try:
        with output, _reopened(clip) as source:
            video = _add_video(output, plan)
            copies = _add_others(output, source, others)
            _copy_tags(output, source, video, clip)
            output.start_encoding()
            _check_header(video, notes, plan)
            shift = _shift(source)
            _mux(
                output,
                source,
                copies,
                _video_packets(folder, notes, plan, video, shift),
                shift,
                check,
            )
    except (av.FFmpegError, OSError) as error:
        raise SinkError(f"cannot write {target.name}: {error}", "is the disk full?") from error


def _reopened(clip: Footage) -> Any:
    """The clip's container from its start; a stream has nothing but its pictures."""
    if not isinstance(clip, Clip) or clip.path is None:
        return contextlib.nullcontext(None)
    return av.open(os.path.abspath(clip.path), metadata_errors="ignore")  # noqa: PTH100


def _add_video(output: OutputContainer, plan: EncoderPlan) -> VideoStream:
    stream = output.add_stream(plan.encoder, rate=plan.rate, options=dict(plan.options))
    assert isinstance(stream, VideoStream)
    plan.configure(stream.codec_context)
    stream.time_base = plan.time_base
    if plan.aspect is not None:
        stream.sample_aspect_ratio = plan.aspect
    return stream


def _add_others(
    output: OutputContainer, source: InputContainer | None, others: Sequence[OtherStream]
) -> dict[int, Any]:
    copies: dict[int, Any] = {}
    if source is None:
        return copies
    for other in others:
        template: Any = source.streams[other.index]
        copy: Any = output.add_stream_from_template(template, opaque=True)
        copy.metadata.update(
            {k: v for k, v in template.metadata.items() if k.lower() != "duration"}
        )
        copy.disposition = template.disposition
        copies[other.index] = copy
    return copies


def _copy_tags(
    output: OutputContainer, source: InputContainer | None, video: VideoStream, clip: Footage
) -> None:
    if source is None or not isinstance(clip, Clip):
        return
    output.metadata.update({k: v for k, v in source.metadata.items() if k.lower() not in _OWN_TAGS})
    tags = source.streams[clip.stream.index].metadata
    video.metadata.update(
        {
            k: v
            for k, v in tags.items()
            if k.lower() not in {*_OWN_TAGS, "rotate"} and not k.startswith("_STATISTICS")
        }
    )
    video.disposition = source.streams[clip.stream.index].disposition or Disposition.default
    chapters = source.chapters()
    if chapters:
        output.set_chapters(chapters)


def _check_header(video: VideoStream, notes: Sequence[SegmentNote], plan: EncoderPlan) -> None:
    mine = video.codec_context.extradata or b""
    for note in notes:
        if note.frames and base64.b64decode(note.header) != mine:
            raise SinkError(
                f"segment {note.number} was encoded by another {plan.encoder} than this one",
                "render again without --resume",
            )


def _shift(source: InputContainer | None) -> Fraction:
    """Seconds to take off every time stamp, where a clip begins in the middle of a broadcast."""
    if source is None or source.start_time is None:
        return Fraction(0)
    start = Fraction(source.start_time, av.time_base)
    return start if start > _LATE_START else Fraction(0)


def _video_packets(
    folder: Path,
    notes: Sequence[SegmentNote],
    plan: EncoderPlan,
    stream: VideoStream,
    shift: Fraction,
) -> Iterator[Packet[VideoStream]]:
    """Yield all pictures with time stamps for showing and for decoding."""
    whole = [note for note in notes if note.frames]
    if not whole:
        return
    # The encoder's own stamps for decoding would overlap from segment to segment. A packet may
    # come as many places ahead of its picture's turn as the widest reordering asks for.
    delay = max(_delay(_stamps(folder, note)) for note in whole)
    offset = round(shift / plan.time_base)
    step = max(1, round(1 / (plan.rate * plan.time_base)))
    first = min(_stamps(folder, whole[0]))
    before = [first - step * count for count in range(delay, 0, -1)]
    shown = chain.from_iterable(sorted(_stamps(folder, note)) for note in whole)
    decode_at = chain(before, shown)
    for note, following in zip(whole, [*whole[1:], None], strict=True):
        full = _read(folder, note)
        stamps = sorted(packet.stamp for packet in full.packets)
        end = stamps[-1] + note.last_ticks
        if following is not None:
            end = min(_stamps(folder, following))
        lasts = {a: b - a for a, b in pairwise([*stamps, end])}
        for entry, packet in read_packets(folder, full):
            packet.stream = stream
            packet.time_base = plan.time_base
            packet.pts = entry.stamp - offset
            packet.dts = next(decode_at) - offset
            packet.duration = lasts[entry.stamp]
            yield packet


def _read(folder: Path, note: SegmentNote) -> SegmentNote:
    full = read_note(folder, note.number)
    if full is None:
        raise SinkError(
            f"segment {note.number} in {folder} was damaged meanwhile", "go on with --resume"
        )
    return full


def _stamps(folder: Path, note: SegmentNote) -> list[int]:
    """Return the time stamps of a segment's packets, in the order of decoding."""
    return [packet.stamp for packet in _read(folder, note).packets]


def _delay(stamps: Sequence[int]) -> int:
    """Return how many places a packet stands behind its turn to be shown, at most."""
    places = {stamp: place for place, stamp in enumerate(sorted(stamps))}
    return max(place - places[stamp] for place, stamp in enumerate(stamps))


def _mux(
    output: OutputContainer,
    source: InputContainer | None,
    copies: dict[int, Any],
    pictures: Iterator[Packet[VideoStream]],
    shift: Fraction,
    check: Callable[[], None],
) -> None:
    """Write all packets, roughly in the order of time."""
    head = next(pictures, None)
    if source is not None and copies:
        for packet in source.demux([source.streams[index] for index in copies]):
            if not packet.size or packet.time_base is None:
                continue
            check()
            moment = packet.dts if packet.dts is not None else packet.pts
            if moment is not None:
                seconds = moment * packet.time_base - shift
                while head is not None and head.dts is not None and head.time_base is not None:
                    if head.dts * head.time_base > seconds:
                        break
                    output.mux(head)
                    head = next(pictures, None)
            if shift:
                ticks = round(shift / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts - ticks
                packet.dts = None if packet.dts is None else packet.dts - ticks
            packet.stream = copies[packet.stream.index]
            output.mux(packet)
    while head is not None:
        check()
        output.mux(head)
        head = next(pictures, None)
