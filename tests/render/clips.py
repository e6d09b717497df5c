"""Clips made for a test, with everything a clip can have besides pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.render.colour import Colour, ToVideo

Picture = NDArray[np.uint8]

BARS = [
    (255, 255, 255),
    (255, 255, 0),
    (0, 255, 255),
    (0, 255, 0),
    (255, 0, 255),
    (255, 0, 0),
    (0, 0, 255),
    (0, 0, 0),
]
BT709 = Colour(1, 1, 1, full_range=False)


def moving_pictures(count: int, width: int = 64, height: int = 48, seed: int = 0) -> list[Picture]:
    """A bright square that wanders over soft noise: no two pictures are alike."""
    chance = np.random.default_rng(seed)
    ground = chance.integers(60, 120, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    ground = np.kron(ground, np.ones((8, 8, 1), np.uint8))[:height, :width]
    pictures = []
    for number in range(count):
        picture = ground + chance.integers(0, 4, (height, width, 1), np.uint8)
        left, top = (number * 3) % (width - 12), (number * 2) % (height - 12)
        picture[top : top + 12, left : left + 12] = (250, 200, number % 200)
        pictures.append(np.ascontiguousarray(picture))
    return pictures


def chart(width: int = 1280, height: int = 720) -> Picture:
    """Colour bars above a grey ramp."""
    picture = np.zeros((height, width, 3), np.uint8)
    for number, colour in enumerate(BARS):
        left, right = number * width // len(BARS), (number + 1) * width // len(BARS)
        picture[: height // 2, left:right] = colour
    picture[height // 2 :] = np.linspace(0, 255, width)[None, :, None]
    return picture


@dataclass
class Recipe:
    """How to write a clip."""

    pictures: Sequence[Picture]
    fps: float = 25
    times: Sequence[float] | None = None
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    colour: Colour = BT709
    sound: bool = False
    subtitles: bool = False
    chapters: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    rotation: int = 0
    keyframes: int = 12
    options: dict[str, str] = field(default_factory=dict)
    time_base: Fraction = Fraction(1, 12800)


def write_clip(path: Path, recipe: Recipe) -> Path:
    """Write a clip; the sound is a rising tone."""
    rate = Fraction(recipe.fps).limit_denominator(1001)
    times = recipe.times or [number / float(rate) for number in range(len(recipe.pictures))]
    to_video = ToVideo(recipe.pixel_format, recipe.colour)
    options = {"crf": "12", "preset": "ultrafast"} if recipe.codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        container.metadata.update(recipe.metadata)
        video: Any = container.add_stream(
            recipe.codec, rate=rate, options={**options, **recipe.options}
        )
        video.height, video.width = recipe.pictures[0].shape[:2]
        video.pix_fmt = recipe.pixel_format
        context = video.codec_context
        context.gop_size = recipe.keyframes
        context.time_base = recipe.time_base
        context.color_range = recipe.colour.range_tag
        context.colorspace = recipe.colour.matrix
        context.color_primaries = recipe.colour.primaries
        context.color_trc = recipe.colour.transfer
        if recipe.rotation:
            video.set_display_rotation(recipe.rotation)
        audio: Any = container.add_stream("aac", rate=48000) if recipe.sound else None
        if audio is not None:
            audio.metadata["language"] = "fra"
        texts: Any = None
        if recipe.subtitles:
            texts = container.add_mux_stream("subrip")
            texts.time_base = Fraction(1, 1000)
            texts.metadata["language"] = "deu"
        if recipe.chapters:
            container.set_chapters(
                [
                    {
                        "id": number,
                        "start": number * 1000,
                        "end": (number + 1) * 1000,
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": f"Part {number}"},
                    }
                    for number in range(2)
                ]
            )
        container.start_encoding()
        if texts is not None:
            for number in range(2):
                packet: Any = av.Packet(f"line {number}".encode())
                packet.stream, packet.time_base = texts, Fraction(1, 1000)
                packet.pts = packet.dts = number * 500
                packet.duration = 400
                container.mux(packet)
        for picture, time in zip(recipe.pictures, times, strict=True):
            frame = to_video(picture)
            frame.pts = round(time / recipe.time_base)
            frame.time_base = recipe.time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            _write_tone(container, audio, times[-1] + 0.04)
    return path


def _write_tone(container: Any, stream: Any, seconds: float) -> None:
    for number in range(int(seconds * 48000 / 1024)):
        at = (np.arange(1024) + number * 1024) / 48000
        tone = 0.3 * np.sin(2 * np.pi * (300 + 50 * at) * at)
        frame = av.AudioFrame.from_ndarray(
            np.tile(tone, (2, 1)).astype(np.float32), format="fltp", layout="stereo"
        )
        frame.sample_rate, frame.pts = 48000, number * 1024
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def decoded(path: Path) -> tuple[list[Picture], list[float]]:
    """All pictures of a clip as RGB, converted as the live source does, and their times."""
    from obs_stylizer.render.clip import Clip

    pictures, times = [], []
    with Clip(path) as clip:
        for frame in clip.frames():
            pictures.append(frame.picture.to_rgb().copy())
            times.append(float(frame.stamp * clip.info.time_base))
    return pictures, times


@dataclass
class Packets:
    """The packets of one stream: what they hold, when, and how long."""

    digests: list[str]
    times: list[Fraction]
    language: str | None


def packets_of(path: Path, kind: str) -> Packets:
    """The packets of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        packets = [packet for packet in container.demux(stream) if packet.size]
        return Packets(
            [hashlib.sha256(bytes(packet)).hexdigest() for packet in packets],
            [packet.pts * packet.time_base for packet in packets],
            stream.language,
        )
