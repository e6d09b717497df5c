"""Measures rendering: against the bare session, against the usual loop, and its memory.

    .venv/bin/python tests/benchmarks/bench_render.py
    .venv/bin/python tests/benchmarks/bench_render.py --row memory --minutes 10

All loops take turns in one run, so that whatever else the machine does slows all of them alike.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from obs_stylizer.bench.loops import float_form  # noqa: E402
from obs_stylizer.cli.presets import open_library  # noqa: E402
from obs_stylizer.frames import FrameSize, Pixels  # noqa: E402
from obs_stylizer.inference.generator import open_generator  # noqa: E402
from obs_stylizer.inference.locate import find_model  # noqa: E402
from obs_stylizer.inference.session import Precision, Provider, SessionOptions  # noqa: E402
from obs_stylizer.render.clip import Clip  # noqa: E402
from obs_stylizer.render.cue_presets import Style, find_presets  # noqa: E402
from obs_stylizer.render.cues import Cue  # noqa: E402
from obs_stylizer.render.file_render import Output, render_file  # noqa: E402
from obs_stylizer.render.progress import Progress  # noqa: E402
from obs_stylizer.sources.pattern import PatternScene  # noqa: E402
from tests.render.clips import Recipe, write_clip  # noqa: E402

SIZE = FrameSize(1280, 720)
PROCESS = FrameSize(640, 360)
SESSIONS = {
    "auto": SessionOptions(),
    "ONNX Runtime f32": SessionOptions(provider=Provider.CPU, precision=Precision.F32),
}


def style(session: SessionOptions, process: FrameSize) -> Style:
    cues = (Cue(0.0, "great-wave"),)
    return Style(cues, find_presets(cues, open_library()), session, process)


@dataclass(frozen=True)
class Rate:
    """Frames a second, and milliseconds of all cores together for one frame.

    The second says more where other programs take part of the machine.
    """

    fps: float
    core_ms: float

    @classmethod
    def since(cls, began: tuple[float, float], frames: int) -> Rate:
        """The rate of ``frames`` since :func:`moment` gave ``began``."""
        wall, cpu = (now - then for now, then in zip(moment(), began, strict=True))
        return cls(frames / wall, 1000 * cpu / frames)


def moment() -> tuple[float, float]:
    """Seconds on the clock, and of work by all threads of this process."""
    return time.perf_counter(), time.process_time()


class Watcher:
    """Notes when frames were done, from the first on."""

    def __init__(self) -> None:
        self.first: tuple[tuple[float, float], int] | None = None

    def __call__(self, progress: Progress) -> None:
        if self.first is None and progress.frame > 0:
            self.first = (moment(), progress.frame)


def ours(clip_path: Path, folder: Path, session: SessionOptions) -> Rate:
    """From the first finished frame to the finished file."""
    watcher = Watcher()
    with Clip(clip_path) as clip:
        result = render_file(
            clip,
            folder / "ours.mp4",
            style(session, PROCESS),
            Output(overwrite=True),
            watcher,
            threading.Event(),
        )
    assert watcher.first is not None
    began, done = watcher.first
    return Rate.since(began, result.frames - done)


def bare(session: SessionOptions, seconds: float) -> Rate:
    """Running the same generator on the same array again and again."""
    with open_generator(find_model("paintings"), PROCESS, session) as generator:
        chance = np.random.default_rng(0)
        frame: Pixels = chance.integers(0, 256, PROCESS.shape, np.uint8)
        weights = generator.style_vector({"great-wave": 1})
        for _ in range(5):
            generator.run(frame, weights)
        count, began = 0, moment()
        while time.perf_counter() - began[0] < seconds:
            generator.run(frame, weights)
            count += 1
        return Rate.since(began, count)


def usual(clip_path: Path, folder: Path) -> Rate:
    """The loop that most programs have, over the whole clip."""
    import onnxruntime

    model = float_form(find_model("paintings"))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inputs = session.get_inputs()
    styles = {
        value.name: np.eye(1, value.shape[1], dtype=np.float32)
        for value in inputs[1:]
        if len(value.shape) == 2
    }
    capture = cv2.VideoCapture(str(clip_path))
    writer = cv2.VideoWriter(
        str(folder / "usual.mp4"),
        cv2.VideoWriter.fourcc(*"mp4v"),
        30,
        (SIZE.width, SIZE.height),
    )
    count, began = -3, moment()
    while True:
        if count == 0:
            began = moment()
        read, frame = capture.read()
        if not read:
            break
        small = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), (PROCESS.width, PROCESS.height))
        (result,) = session.run(None, {inputs[0].name: small.astype(np.float32)[None], **styles})
        picture = np.clip(result[0], 0, 255).astype(np.uint8)
        picture = cv2.resize(picture, (SIZE.width, SIZE.height))
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        count += 1
    capture.release()
    writer.release()
    return Rate.since(began, count)


def pattern_clip(path: Path, frames: int) -> Path:
    """The test pattern in 720p at 30 frames a second, with a tone."""
    scene = PatternScene(SIZE)
    pictures = [scene.draw(number / 30, number).copy() for number in range(frames)]
    return write_clip(path, Recipe(pictures, fps=30, sound=True))


def speed(folder: Path, rounds: int, frames: int) -> None:
    clip = pattern_clip(folder / "clip.mp4", frames)
    seconds = frames / 30
    rates: dict[str, list[Rate]] = {}
    for number in range(rounds + 1):
        for name, session in SESSIONS.items():
            for kind, rate in (
                (f"bare, {name}", bare(session, seconds)),
                (f"render, {name}", ours(clip, folder, session)),
            ):
                # The first round is for warming up.
                if number:
                    rates.setdefault(kind, []).append(rate)
        rate = usual(clip, folder)
        if number:
            rates.setdefault("usual loop", []).append(rate)
    for kind, found in rates.items():
        shown = ", ".join(f"{rate.fps:.2f}" for rate in found)
        core_ms = median(rate.core_ms for rate in found)
        fps = median(rate.fps for rate in found)
        print(f"{kind:28} {fps:7.2f} fps {core_ms:7.1f} core-ms   ({shown})")
    for name in SESSIONS:
        for other, wanted in ((f"bare, {name}", 0.9), ("usual loop", 1.5)):
            pairs = list(zip(rates[f"render, {name}"], rates[other], strict=True))
            ratio = median(a.fps / b.fps for a, b in pairs)
            work = median(b.core_ms / a.core_ms for a, b in pairs)
            print(
                f"render ÷ {other}, {name}: {ratio:.2f} in frames a second (wanted {wanted}), "
                f"{work:.2f} in frames a core-second"
            )


def memory(folder: Path, minutes: float) -> None:
    """Render a long clip with a small process size, and look at the memory all the while."""
    piece = pattern_clip(folder / "piece.mp4", 300)
    clip = repeat(piece, folder / "long.mp4", round(minutes * 6))
    process = psutil.Process()
    samples: list[float] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.5):
            samples.append(process.memory_info().rss / 2**20)

    threading.Thread(target=sample, daemon=True).start()
    began = time.perf_counter()
    with Clip(clip) as footage:
        result = render_file(
            footage,
            folder / "out.mp4",
            style(SessionOptions(), FrameSize(64, 36)),
            Output(),
            lambda progress: None,
            threading.Event(),
        )
    done.set()
    tenth = max(1, len(samples) // 10)
    early, late = median(samples[tenth : 3 * tenth]), median(samples[-2 * tenth :])
    print(
        f"memory over {result.frames} frames ({result.frames / 1800:.1f} minutes at 30 fps, "
        f"{result.frames / (time.perf_counter() - began):.0f} fps): "
        f"{early:.0f} MB in the second and third tenth, {late:.0f} MB in the last two, "
        f"largest {max(samples):.0f} MB"
    )


def repeat(piece: Path, target: Path, times: int) -> Path:
    """Put a clip after itself so many times, without encoding it again."""
    import av

    with av.open(str(piece)) as source, av.open(str(target), "w") as output:
        streams = {s.index: output.add_stream_from_template(s, opaque=True) for s in source.streams}
        length = Fraction(source.duration or 0, av.time_base)
        for number in range(times):
            source.seek(0)
            for packet in source.demux():
                if not packet.size or packet.time_base is None:
                    continue
                shift = round(number * length / packet.time_base)
                packet.pts = (packet.pts or 0) + shift
                packet.dts = (packet.dts or 0) + shift
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    return target


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", choices=["speed", "memory"], help="both if left out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10)
    chosen = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="bench-render-") as name:
        if chosen.row != "memory":
            speed(Path(name), chosen.rounds, chosen.frames)
        if chosen.row != "speed":
            memory(Path(name), chosen.minutes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
