"""What coherence and reprojection do for the bundled styles, on real clips and a talking head.

    STYLIZER_DATA=FOLDER .venv/bin/python tests/benchmarks/bench_motion.py great-wave udnie

FOLDER holds ``clips/*.mp4`` and ``faces/*.jpg``; a face becomes a talking head at 30 frames a
second by a motion that is known, without and with camera noise. Wants: reprojected 3.5 dB above
held; warp error on air at most 0.50 of the generator's own, at 0.85 of its sharpness; 5 ms of a
core for what a frame costs beyond the generator, scaling to the process size and back left out.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from obs_stylizer.frames import FrameSize, Pixels  # noqa: E402
from obs_stylizer.inference.generator import open_generator  # noqa: E402
from obs_stylizer.motion.flow import grid, sampled  # noqa: E402
from obs_stylizer.motion.measures import (  # noqa: E402
    accurate_flow,
    motion_figures,
    on_air,
    psnr,
    reprojected,
)
from obs_stylizer.presets import load_preset  # noqa: E402
from obs_stylizer.realtime.memory import keep_freed_pictures  # noqa: E402
from obs_stylizer.styling.geometry import reshape  # noqa: E402

SIZE = FrameSize(640, 360)
FRAMES = 30
STARTS = {"cars": 55, "person_walking": 500}
"""Frames at which something crosses the picture."""


def frames_of(path: Path) -> list[Pixels]:
    """Some frames of a clip, from where something moves."""
    frames: list[Pixels] = []
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number >= STARTS.get(path.stem, 0):
                frames.append(reshape(frame.to_ndarray(format="rgb24"), SIZE))
            if len(frames) == FRAMES:
                break
    return frames


def talking_head(path: Path, noise: float) -> list[Pixels]:
    """A portrait that nods, turns and speaks, with a camera's noise of so many levels."""
    portrait = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    portrait = reshape(portrait, SIZE)
    random = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(640, dtype=np.float32), np.arange(360, dtype=np.float32))
    x, y = x - 320, y - 200
    head = np.exp(-((x / 190) ** 4 + (y / 200) ** 4))
    mouth = np.exp(-((x / 50) ** 2 + ((y - 70) / 28) ** 2))
    frames = []
    for number in range(FRAMES):
        turn = 2 * np.pi * number / 30
        right = 26 * np.sin(0.45 * turn) + 8 * np.sin(1.3 * turn)
        down = 9 * np.sin(0.7 * turn + 1)
        angle, scale = 0.05 * np.sin(0.5 * turn), 1 + 0.03 * np.sin(0.3 * turn)
        to_x = scale * (np.cos(angle) * x - np.sin(angle) * y) - right
        to_y = scale * (np.sin(angle) * x + np.cos(angle) * y) - down
        speaks = mouth * 8 * np.sin(3.1 * turn) * np.clip((y - 70 + down) / 8, -1, 1)
        place_x = 320 + x + head * (to_x - x)
        place_y = 200 + y + head * (to_y - y) + speaks
        moved = cv2.remap(
            portrait, place_x.astype(np.float32), place_y.astype(np.float32), cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        )  # fmt: skip
        noisy = moved + random.normal(0, noise, moved.shape)
        frames.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return frames


def along_careful_flow(frames: list[Pixels], styled: list[Pixels], every: int) -> float:
    """Return the PSNR of carried pictures where no time is spared to find the motion."""
    found = []
    for number in (number for number in range(every, len(frames)) if number % every):
        key = number - number % every
        places = grid(SIZE) + accurate_flow(frames[number], frames[key])
        found.append(psnr(sampled(styled[key], places), styled[number]))
    return sum(found) / len(found)


def milliseconds(frames: list[Pixels], once: Callable[[], object]) -> float:
    """Return what a frame of a clip costs, in milliseconds of one core: the median of five."""
    taken = []
    for _ in range(5):
        began = time.thread_time()
        once()
        taken.append(1000 * (time.thread_time() - began) / len(frames))
    return median(taken)


def main(names: list[str]) -> None:
    """Print a line for each clip and preset."""
    data = Path(os.environ["STYLIZER_DATA"])
    clips = {path.stem: frames_of(path) for path in sorted((data / "clips").glob("*.mp4"))}
    portrait = sorted((data / "faces").glob("*.jpg"))[0]
    clips |= {f"talking head, noise {noise}": talking_head(portrait, noise) for noise in (0, 1.5)}
    print("preset clip | warp error raw → on air (ratio) | sharpness kept | every 2nd, every 3rd:")
    print("  PSNR held → carried (along a careful flow), dB; SSIM held → carried")
    print("  | ms: carried every 3rd, each its own")
    # As on air, where one thread does all of it.
    cv2.setNumThreads(1)
    keep_freed_pictures()
    for name in names or ["great-wave"]:
        preset = load_preset(ROOT / "presets" / f"{name}.yaml")
        with open_generator(preset.model, SIZE) as generator:
            for clip, frames in clips.items():
                styled = [generator.run(frame, preset.styles).copy() for frame in frames]
                f = motion_figures(frames, styled)
                ratio = f["warp_error_on_air"] / f["warp_error"]
                print(
                    f"{name} {clip} | {f['warp_error']:.4f} → {f['warp_error_on_air']:.4f} "
                    f"({ratio:.2f}) | {f['sharpness_kept']:.2f}",
                    *(
                        f"| {f[f'held_psnr_every_{n}']:.1f} → {f[f'psnr_every_{n}']:.1f} "
                        f"({along_careful_flow(frames, styled, n):.1f}), "
                        f"{f[f'held_ssim_every_{n}']:.3f} → {f[f'ssim_every_{n}']:.3f}"
                        for n in (2, 3)
                    ),
                    f"| {milliseconds(frames, partial(reprojected, frames, styled, 3)):.1f},",
                    f"{milliseconds(frames, partial(on_air, frames, styled)):.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
