"""Segments on the disk: encoded packets in one file, and beside it what they are.

The second file is written last, under another name first: where it is, the segment is whole.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Self

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from obs_stylizer.errors import SinkError
from obs_stylizer.frames import Pixels
from obs_stylizer.render.colour import ToVideo
from obs_stylizer.render.encoders import KEYFRAME_SECONDS, EncoderPlan, padded
from obs_stylizer.render.file_names import sibling

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class PacketNote:
    """One packet: bytes in the file, time stamp in ticks, whether decoding can begin at it."""

    size: int
    stamp: int
    key: bool


@dataclass(frozen=True, slots=True)
class SegmentNote:
    """What a whole segment is.

    Attributes:
        number: counted from 0.
        frames: in it.
        packets: in the order of the file, which is that of decoding.
        last_ticks: how long its last frame stands.
        header: the encoder's extradata, in base 64.
        begin_digest: of what was remembered before its first frame.
        end_digest: of what was remembered after its last.
    """

    number: int
    frames: int
    packets: tuple[PacketNote, ...]
    last_ticks: int
    header: str
    begin_digest: str
    end_digest: str
    version: int = _VERSION

    def without_packets(self) -> Self:
        """Return what is worth holding in memory; the rest is read again when it is needed."""
        return replace(self, packets=())

    def to_json(self) -> str:
        """Return it as text."""
        values = asdict(self)
        values["packets"] = [[p.size, p.stamp, int(p.key)] for p in self.packets]
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or values.get("version") != _VERSION:
            raise ValueError("not a segment of this version")
        values["packets"] = tuple(
            PacketNote(size, stamp, bool(key)) for size, stamp, key in values["packets"]
        )
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(str(error)) from error


def packets_path(folder: Path, number: int) -> Path:
    """Where a segment's packets are."""
    return folder / f"segment-{number:05}.packets"


def note_path(folder: Path, number: int) -> Path:
    """Where it is told what they are."""
    return folder / f"segment-{number:05}.json"


class SegmentWriter:
    """Encodes one segment into ``folder``.

    Raises:
        SinkError: the encoder does not start, or nothing can be written there.
    """

    def __init__(self, folder: Path, number: int, plan: EncoderPlan, begin_digest: str) -> None:
        self._folder = folder
        self._number = number
        self._plan = plan
        self._begin_digest = begin_digest
        self._to_video = ToVideo(plan.pixel_format, plan.colour)
        self._context: VideoCodecContext = plan.open()
        self._packets: list[PacketNote] = []
        self._frames = 0
        self._last_ticks = 1
        self._key_stamp: int | None = None
        self._key_ticks = round(KEYFRAME_SECONDS / plan.time_base)
        with _explained(folder):
            self._file: BinaryIO = packets_path(folder, number).open("wb")

    def write(
        self,
        pixels: Pixels,
        stamp: int,
        ticks: int,
        original: VideoFrame | None = None,
        alpha: Pixels | None = None,
    ) -> None:
        """Add a picture, uint8 RGB, that is shown at ``stamp`` for ``ticks``.

        ``original`` is the decoded frame where the picture was not changed; ``alpha``, uint8
        (height, width), says where it is opaque, None everywhere.

        Raises:
            SinkError: it cannot be encoded or written.
        """
        frame = None if original is None else self._to_video.unchanged(original, self._plan.size)
        if frame is None:
            clear = None if alpha is None else padded(alpha, self._plan.size)
            frame = self._to_video(padded(pixels, self._plan.size), clear)
        frame.pts, frame.time_base = stamp, self._plan.time_base
        # The encoder counts frames, which last unequally in some clips.
        if self._key_stamp is None or stamp - self._key_stamp >= self._key_ticks:
            frame.pict_type = PictureType.I
            self._key_stamp = stamp
        with _explained(self._folder):
            self._keep(self._context.encode(frame))
        self._frames += 1
        self._last_ticks = ticks

    def finish(self, end_digest: str) -> SegmentNote:
        """Write what the encoder still holds, and the note; the segment is whole then.

        Raises:
            SinkError: it cannot be written.
        """
        with _explained(self._folder):
            self._keep(self._context.encode(None))
            header = base64.b64encode(self._context.extradata or b"").decode()
            with self._file as file:
                file.flush()
                os.fsync(file.fileno())
            note = SegmentNote(
                number=self._number,
                frames=self._frames,
                packets=tuple(self._packets),
                last_ticks=self._last_ticks,
                header=header,
                begin_digest=self._begin_digest,
                end_digest=end_digest,
            )
            write_whole(note_path(self._folder, self._number), note.to_json().encode())
        return note

    def abandon(self) -> None:
        """Take back what was written."""
        with contextlib.suppress(OSError):
            self._file.close()
        packets_path(self._folder, self._number).unlink(missing_ok=True)

    def _keep(self, packets: Sequence[Packet[VideoStream]]) -> None:
        for packet in packets:
            if packet.pts is None:
                raise SinkError(f"{self._plan.encoder} gives packets without time stamps")
            data = bytes(packet)
            self._file.write(data)
            self._packets.append(PacketNote(len(data), packet.pts, packet.is_keyframe))


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn what the disk or the encoder says into an error with a remedy."""
    try:
        yield
    except av.FFmpegError as error:
        raise SinkError(f"the encoder gave up: {error}", "try another --codec") from error
    except OSError as error:
        raise SinkError(
            f"cannot write into {folder}: {error.strerror or error}",
            "make room; what is finished is kept, go on with --resume",
        ) from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there as a whole or not at all."""
    partial = sibling(path, "", ".part")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_note(folder: Path, number: int) -> SegmentNote | None:
    """Return the note of a whole segment, or None if there is none."""
    try:
        note = SegmentNote.from_json(note_path(folder, number).read_text("utf-8"))
        size = packets_path(folder, number).stat().st_size
    except (OSError, ValueError):
        return None
    return note if size == sum(packet.size for packet in note.packets) else None


def read_packets(
    folder: Path, note: SegmentNote
) -> Iterator[tuple[PacketNote, Packet[VideoStream]]]:
    """Yield the packets of a whole segment; their time stamps are left to the caller."""
    with packets_path(folder, note.number).open("rb") as file:
        for entry in note.packets:
            packet = av.Packet(file.read(entry.size))
            packet.is_keyframe = entry.key
            yield entry, packet
