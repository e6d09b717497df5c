"""The finished file: all segments one after another, and everything else of the clip untouched."""

from __future__ import annotations

import base64
import contextlib
import errno
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
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
from obs_stylizer.render.copied_packets import CopiedPackets
from obs_stylizer.render.encoders import EncoderPlan
from obs_stylizer.render.other_streams import FORMATS, OtherStream, add_others, add_video
from obs_stylizer.render.segment_file import SegmentNote, read_note, read_packets
from obs_stylizer.sources.continuity import Continuity

log = logging.getLogger(__name__)


# Without these, the same packets would make another file every time.
_SAME_EVERY_TIME: Final = {"fflags": "+bitexact"}
# What a container says about itself, or about the video that was replaced.
_OWN_TAGS: Final = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
)
_CHAPTER_TICK: Final = Fraction(1, 1000)
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


def mux(
    clip: Footage,
    folder: Path,
    notes: Sequence[SegmentNote],
    plan: EncoderPlan,
    others: Sequence[OtherStream],
    target: Path,
    name: str,
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
        name: that final name, for people.
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
            format=FORMATS[suffix],
            container_options=options,
        )
    except (av.FFmpegError, OSError) as error:
        raise SinkError(f"cannot write {target}: {error}", "choose another folder") from error
    source = clip.reopened() if isinstance(clip, Clip) and clip.path is not None else None
    try:
        with output, source or contextlib.nullcontext():
            video = add_video(output, plan)
            copies = add_others(output, source, others, suffix)
            shift = _shift(source)
            _copy_tags(output, source, video, clip, shift)
            output.start_encoding()
            _check_header(video, notes, plan)
            pictures = _video_packets(folder, notes, plan, video, shift)
            _mux(output, pictures, _copied(clip, source, copies, suffix, shift), check)
    except (av.FFmpegError, OSError) as error:
        raise _not_written(name, error, others) from error


def _copied(
    clip: Footage,
    source: InputContainer | None,
    copies: Mapping[int, Any],
    suffix: str,
    shift: Fraction,
) -> Iterator[Packet[Any]]:
    """Yield the packets that are copied; where the clip is damaged, up to there."""
    if source is None or not copies:
        return
    assert isinstance(clip, Clip)
    fitted = CopiedPackets(clip.name, suffix, shift, Continuity(source, clip.offsets))
    packets = source.demux([source.streams[index] for index in copies])
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, ValueError) as error:
            log.warning("%s is damaged, its sound ends early: %s", clip.name, error)
            return
        if packet is None:
            return
        if fitted.fit(packet, copies[packet.stream.index]):
            yield packet


def _not_written(name: str, error: Exception, others: Sequence[OtherStream]) -> SinkError:
    """Say why the file was not written, with what helps against just that."""
    number = getattr(error, "errno", None)
    if number in _NO_ROOM:
        return SinkError(
            f"cannot write {name}: the disk is full",
            "make room; what is finished is kept, go on with --resume",
        )
    if number == errno.EFBIG:
        return SinkError(
            f"cannot write {name}: the disk takes no file so large", "choose another folder"
        )
    drops = " ".join(f"--drop {other.index}" for other in others)
    return SinkError(
        f"cannot write {name}: {error}",
        f"what is finished is kept; go on with --resume {drops}"
        if drops
        else "try another --codec",
    )


def _copy_tags(
    output: OutputContainer,
    source: InputContainer | None,
    video: VideoStream,
    clip: Footage,
    shift: Fraction,
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
        for chapter in chapters:
            ticks = round(shift / (chapter["time_base"] or _CHAPTER_TICK))
            chapter["start"] = max(0, chapter["start"] - ticks)
            chapter["end"] = max(chapter["start"], chapter["end"] - ticks)
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
    """Seconds to take off every time stamp: a transport stream begins wherever its clock stood."""
    if source is None or source.start_time is None:
        return Fraction(0)
    return max(Fraction(0), Fraction(source.start_time, av.time_base))


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
    pictures: Iterator[Packet[VideoStream]],
    copied: Iterator[Packet[Any]],
    check: Callable[[], None],
) -> None:
    """Write all packets, roughly in the order of time."""
    head = next(pictures, None)
    for packet in copied:
        check()
        moment = packet.dts if packet.dts is not None else packet.pts
        while moment is not None and head is not None and head.dts is not None:
            if head.dts * head.time_base > moment * packet.time_base:
                break
            output.mux(head)
            head = next(pictures, None)
        output.mux(packet)
    while head is not None:
        check()
        output.mux(head)
        head = next(pictures, None)
