"""Codecs and encoders: which there are, how quality is told to each, and how one is opened."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from obs_stylizer.errors import SinkError, UsageError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.render.colour import Colour, ToVideo, bits_of
from obs_stylizer.sources.frame_conversion import is_rgb

log = logging.getLogger(__name__)

DEFAULT_QUALITY: Final = 75
KEYFRAME_SECONDS: Final = 2
"""At most so far apart are the frames that playing can begin at."""


class Codec(StrEnum):
    """What ``--codec`` takes."""

    H264 = "h264"
    H265 = "h265"
    AV1 = "av1"
    FFV1 = "ffv1"
    PRORES = "prores"


SOFTWARE: Final = {
    Codec.H264: "libx264",
    Codec.H265: "libx265",
    Codec.AV1: "libsvtav1",
    Codec.FFV1: "ffv1",
    Codec.PRORES: "prores_ks",
}

# In the order they are tried. Written from FFmpeg's documentation; none of them was run by the
# authors, but each is made to encode a few pictures here before it is used.
_HARDWARE: Final = {
    Codec.H264: ("h264_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox", "h264_mf"),
    Codec.H265: ("hevc_nvenc", "hevc_qsv", "hevc_amf", "hevc_videotoolbox", "hevc_mf"),
    Codec.AV1: ("av1_nvenc", "av1_qsv", "av1_amf"),
    Codec.FFV1: (),
    Codec.PRORES: (),
}

CONTAINERS: Final = {
    Codec.H264: (".mp4", ".mkv", ".mov"),
    Codec.H265: (".mp4", ".mkv", ".mov"),
    Codec.AV1: (".mp4", ".mkv", ".webm"),
    Codec.FFV1: (".mkv",),
    Codec.PRORES: (".mov",),
}
"""The containers each codec can go into, the usual one first."""

_TRANSPARENT_FORMATS: Final = {Codec.FFV1: "bgra", Codec.PRORES: "yuva444p10le"}
"""What holds transparency, of the codecs that can."""

# Layouts that the lossless codec keeps; anything else becomes 4:2:0.
_LOSSLESS_FORMATS: Final = frozenset({"yuv420p", "yuv422p", "yuv444p"})
# Players expect ten bits of these, but not of H.264.
_DEEP_ENCODERS: Final = frozenset({"ffv1", "libx265", "libsvtav1"})


@dataclass(frozen=True, slots=True)
class EncoderPlan:
    """Everything that an encoder is opened with; the same plan gives the same bytes.

    Attributes:
        encoder: FFmpeg's name.
        options: its own options.
        pixel_format: what it is fed with.
        size: of the pictures encoded, which may be a pixel larger than those rendered.
        rate: frames a second, about.
        time_base: seconds of one tick.
        colour: the tags.
        aspect: of one pixel; None where it is square.
        threads: a fixed number, since the bytes depend on it.
    """

    encoder: str
    options: Mapping[str, str]
    pixel_format: str
    size: FrameSize
    rate: Fraction
    time_base: Fraction
    colour: Colour
    aspect: Fraction | None
    threads: int
    codec_tag: str = field(default="")

    def configure(self, context: VideoCodecContext) -> None:
        """Set a codec context up, before it is opened."""
        context.width, context.height = self.size.width, self.size.height
        context.pix_fmt = self.pixel_format
        context.time_base = self.time_base
        context.framerate = self.rate
        if self.aspect is not None:
            context.sample_aspect_ratio = self.aspect
        context.gop_size = max(1, round(self.rate * KEYFRAME_SECONDS))
        context.thread_count = self.threads
        colour = self.colour
        context.color_range = colour.range_tag
        context.colorspace = colour.matrix
        context.color_primaries = colour.primaries
        context.color_trc = colour.transfer
        if self.codec_tag:
            context.codec_tag = self.codec_tag
        # Containers want the headers ahead of the pictures.
        context.flags |= int(av.codec.context.Flags.global_header)

    def open(self) -> VideoCodecContext:
        """Return an encoder that is ready.

        Raises:
            SinkError: it does not start here.
        """
        try:
            context = av.CodecContext.create(self.encoder, "w")
            assert isinstance(context, VideoCodecContext)
            self.configure(context)
            context.options = dict(self.options)
            context.open(strict=False)
        except (av.FFmpegError, ValueError, OSError) as error:
            raise SinkError(
                f"{self.encoder} cannot encode {self.size}: {error}",
                "give another --size, or --codec ffv1 and -o a name that ends in .mkv"
                + ("" if self.encoder in SOFTWARE.values() else ", or leave --encoder out"),
            ) from error
        return context


def encoder_for(codec: Codec, wanted: str) -> str:
    """Return the encoder to use.

    Args:
        codec: what is to come out.
        wanted: ``software``, ``hardware`` for the first that works here, or an encoder's name.

    Raises:
        UsageError: there is no such encoder, or no hardware encoder works here.
    """
    if wanted == "software":
        return SOFTWARE[codec]
    if wanted == "hardware":
        reasons = []
        for name in _HARDWARE[codec]:
            reason = why_not(name)
            if not reason:
                return name
            reasons.append(f"{name}: {reason}")
        raise UsageError(
            f"no hardware encoder for {codec} works here ({'; '.join(reasons) or 'there is none'})",
            "leave --encoder out",
        )
    known = (SOFTWARE[codec], *_HARDWARE[codec])
    if wanted not in known:
        raise UsageError(
            f"“{wanted}” is no encoder for {codec}",
            f"choose software, hardware, {', '.join(known)}",
        )
    reason = "" if wanted == SOFTWARE[codec] else why_not(wanted)
    if reason:
        raise UsageError(f"{wanted} does not work here: {reason}", "leave --encoder out")
    return wanted


def why_not(encoder: str) -> str:
    """Say why an encoder cannot be used here, by encoding a few pictures; "" if it can."""
    if encoder not in av.codecs_available:
        return "this build of PyAV has no such encoder"
    size = FrameSize(640, 360)
    colour = Colour(1, 1, 1, full_range=False)
    plan = EncoderPlan(
        encoder=encoder,
        options=quality_options(encoder, DEFAULT_QUALITY),
        pixel_format=_pixel_format(encoder, "yuv420p"),
        size=size,
        rate=Fraction(25),
        time_base=Fraction(1, 25),
        colour=colour,
        aspect=None,
        threads=1,
    )
    try:
        context = plan.open()
        to_video = ToVideo(plan.pixel_format, colour)
        picture: Pixels = np.zeros(size.shape, np.uint8)
        got = 0
        for number in range(8):
            frame = to_video(picture)
            frame.pts = number
            got += len(context.encode(frame))
        got += len(context.encode(None))
    except SinkError as error:
        return error.message
    except (av.FFmpegError, ValueError, OSError) as error:
        return str(error)
    return "" if got else "it gives no picture"


def plan_encoder(
    codec: Codec,
    encoder: str,
    quality: int,
    *,
    size: FrameSize,
    source_format: str,
    colour: Colour,
    rate: Fraction,
    time_base: Fraction,
    aspect: Fraction | None,
    threads: int,
    container: str,
    transparent: bool = False,
) -> EncoderPlan:
    """Decide how pictures of ``size`` are encoded.

    Args:
        codec: what comes out.
        encoder: its encoder, of :func:`encoder_for`.
        quality: 1 to 100.
        size: of the pictures.
        source_format: FFmpeg's name of the layout they came in.
        colour: tags they came with.
        rate: frames a second.
        time_base: seconds of one tick.
        aspect: of one pixel; None where it is square.
        threads: of the encoder.
        container: suffix of the file.
        transparent: the pictures have places without anything in them.
    """
    pixel_format = _pixel_format(encoder, source_format)
    if transparent:
        pixel_format = _TRANSPARENT_FORMATS.get(codec, pixel_format)
        if codec not in _TRANSPARENT_FORMATS:
            log.warning(
                "%s holds no transparency: it becomes green (--codec %s does)",
                codec,
                " and ".join(_TRANSPARENT_FORMATS),
            )
    if codec is not Codec.FFV1:
        # Colour is stored at half the size, so these codecs take even sides only.
        size = FrameSize(size.width + size.width % 2, size.height + size.height % 2)
    tag = "hvc1" if codec is Codec.H265 and container in (".mp4", ".mov") else ""
    return EncoderPlan(
        encoder=encoder,
        options=quality_options(encoder, quality),
        pixel_format=pixel_format,
        size=size,
        rate=rate,
        time_base=time_base,
        colour=colour.for_format(pixel_format),
        aspect=aspect,
        threads=threads,
        codec_tag=tag,
    )


def _pixel_format(encoder: str, source_format: str) -> str:
    if encoder.endswith(("_qsv", "_amf", "_mf")):
        return "nv12"
    # Styled pictures have eight bits, but where nothing is changed all ten are kept.
    deep = "10le" if bits_of(source_format) > 8 and encoder in _DEEP_ENCODERS else ""
    if encoder == "prores_ks":
        return "yuv444p10le"
    if encoder != "ffv1":
        return f"yuv420p{deep}"
    if is_rgb(source_format):
        return "bgr0"
    layout = source_format.replace("yuvj", "yuv").partition("p")[0] + "p"
    return f"{layout if layout in _LOSSLESS_FORMATS else 'yuv420p'}{deep}"


def quality_options(encoder: str, quality: int) -> dict[str, str]:
    """Return an encoder's own options for ``quality`` from 1 (small) to 100 (like the original).

    The quick settings are chosen, since the encoder shares the machine with the generator.
    """
    # Constant quality of each, from the smallest to the finest file; the usual choice is at 75.
    h264 = str(round(38 - 0.26 * quality))
    h265 = str(round(40 - 0.26 * quality))
    av1 = str(round(58 - 0.42 * quality))
    nvenc = {"preset": "p4", "rc": "vbr", "b": "0", "forced-idr": "1"}
    options: dict[str, dict[str, str]] = {
        # Two parts of the next slower setting, which cost little and save a fifth of the bytes.
        "libx264": {
            "preset": "ultrafast",
            "crf": h264,
            "x264-params": "cabac=1:no-deblock=0:deblock=0,0:aq-mode=1",
        },
        "libx265": {
            "preset": "superfast",
            "crf": h265,
            "x265-params": "log-level=none",
            "forced-idr": "1",
        },
        "libsvtav1": {"preset": "10", "crf": av1},
        "prores_ks": {"profile": "4444", "vendor": "apl0"},
        "ffv1": {"level": "3", "slicecrc": "1", "g": "1"},
        "h264_nvenc": {**nvenc, "cq": h264},
        "hevc_nvenc": {**nvenc, "cq": h265},
        "av1_nvenc": {**nvenc, "cq": av1},
        "h264_qsv": {"preset": "medium", "global_quality": h264},
        "hevc_qsv": {"preset": "medium", "global_quality": h265},
        "av1_qsv": {"preset": "medium", "global_quality": av1},
        "h264_amf": {"rc": "cqp", "qp_i": h264, "qp_p": h264, "qp_b": h264},
        "hevc_amf": {"rc": "cqp", "qp_i": h265, "qp_p": h265},
        "av1_amf": {"rc": "cqp", "qp_i": str(2 * int(av1)), "qp_p": str(2 * int(av1))},
        "h264_videotoolbox": {"q:v": str(quality)},
        "hevc_videotoolbox": {"q:v": str(quality)},
        "h264_mf": {"rate_control": "quality", "quality": str(quality)},
        "hevc_mf": {"rate_control": "quality", "quality": str(quality)},
    }
    return options[encoder]


def padded(pixels: Pixels, size: FrameSize) -> Pixels:
    """Repeat the last row or column where the encoder needs an even side."""
    height, width = pixels.shape[:2]
    if (width, height) == (size.width, size.height):
        return pixels
    beyond = ((0, size.height - height), (0, size.width - width), (0, 0))
    return np.pad(pixels, beyond[: pixels.ndim], mode="edge")


def hardware_encoders(codec: Codec) -> Iterator[str]:
    """Yield the names of the hardware encoders that this build of PyAV has."""
    yield from (name for name in _HARDWARE[codec] if name in av.codecs_available)
