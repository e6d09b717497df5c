"""How well a painting of one frame is carried onto the other frames of a clip.

A slow filter stands for the painter: the middle frame is painted by it and learnt, and ten other
frames, painted by what was learnt, are compared with what the filter makes of them. Beside that
stands the best mapping of colours alone: of polynomials of degree 1 to 3 and a table of 17³ mean
colours, all fitted to the same pair, the best on those frames. Run it on an idle machine:

    python tests/benchmarks/bench_keyframe.py CLIP.mp4 --filter oil --seconds 180
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.generator import open_generator
from obs_stylizer.inference.session import Provider, SessionOptions
from obs_stylizer.training.image_metrics import psnr, ssim
from obs_stylizer.training.keyframe_export import export_keyframes
from obs_stylizer.training.keyframe_learning import KeyframeLearner
from obs_stylizer.training.keyframes import Keyframe
from obs_stylizer.training.pictures import fit_frame
from obs_stylizer.training.teachers import FILTERS
from obs_stylizer.training.tensors import to_tensor

SIZE = FrameSize(640, 360)
TABLE = 17

Mapping = Callable[[Pixels], Pixels]


def frames_of(clip: Path, count: int) -> list[Pixels]:
    """Return the middle frame, and ``count`` others at equal distances."""
    with av.open(str(clip)) as film:
        decoded = list(film.decode(video=0))
    places = [int(len(decoded) * (number + 0.5) / count) for number in range(count)]
    return [
        fit_frame(decoded[place].to_ndarray(format="rgb24"), SIZE)
        for place in (len(decoded) // 2, *places)
    ]


def painted(frames: Sequence[Pixels], name: str, kept: Path) -> list[Pixels]:
    """Return what a filter makes of ``frames``, made once and kept in a folder."""
    digest = hashlib.sha256(b"".join(frame.tobytes() for frame in frames)).hexdigest()[:16]
    path = kept / f"{name}-{digest}.npy"
    if not path.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack([FILTERS[name](frame) for frame in frames]))
    return list(np.load(path))


def terms(pixels: Pixels, degree: int) -> NDArray[np.float64]:
    """Return all products of the colours up to a degree: (N, T) of N pixels."""
    colours = pixels.reshape(-1, 3) / 255.0
    powers = itertools.product(range(degree + 1), repeat=3)
    return np.stack([np.prod(colours**p, 1) for p in powers if sum(p) <= degree], 1)


def polynomial(frame: Pixels, target: Pixels, degree: int) -> Mapping:
    """Return the mapping of colours of a degree that is nearest by least squares."""
    weights = np.linalg.lstsq(terms(frame, degree), target.reshape(-1, 3) / 255.0, rcond=None)[0]

    def mapped(picture: Pixels) -> Pixels:
        made = np.clip(terms(picture, degree) @ weights, 0, 1) * 255 + 0.5
        return made.astype(np.uint8).reshape(picture.shape)

    return mapped


def table(frame: Pixels, target: Pixels) -> Mapping:
    """Return the table of mean colours; where no colour fell, it goes by the second degree."""
    axis = np.linspace(0, 255, TABLE).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3)
    total = polynomial(frame, target, 2)(grid)[0].astype(float)
    count = np.ones((len(total), 1))

    def place(picture: Pixels) -> NDArray[np.intp]:
        steps = (picture.reshape(-1, 3) / 255 * (TABLE - 1) + 0.5).astype(np.intp)
        return steps @ np.array([TABLE * TABLE, TABLE, 1])

    np.add.at(total, place(frame), target.reshape(-1, 3))
    np.add.at(count, place(frame), 1)
    colours = (total / count + 0.5).astype(np.uint8)
    return lambda picture: colours[place(picture)].reshape(picture.shape)


def score(made: Sequence[Pixels], wanted: Sequence[Pixels]) -> tuple[float, float]:
    """Return the means of PSNR (dB) and SSIM."""
    one, other = to_tensor(made), to_tensor(wanted)
    return float(psnr(one, other).mean()), float(ssim(one, other).mean())


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--filter", choices=sorted(FILTERS), default="oil")
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "painted-frames")
    parser.add_argument("--prepare", action="store_true", help="only paint the frames")
    options = parser.parse_args()
    frames = frames_of(options.clip, options.frames)
    wanted = painted(frames, options.filter, options.kept)
    if options.prepare:
        return
    mappings = {
        **{f"degree {n}": polynomial(frames[0], wanted[0], n) for n in (1, 2, 3)},
        "table": table(frames[0], wanted[0]),
    }
    scores = {
        name: score([mapped(frame) for frame in frames[1:]], wanted[1:])
        for name, mapped in mappings.items()
    }
    best = tuple(max(found[part] for found in scores.values()) for part in (0, 1))

    began = time.monotonic()
    pair = np.concatenate([frames[0], wanted[0]], 2)
    learner = KeyframeLearner([Keyframe(Path("frame"), Path("painted"), pair)])
    while (share := (time.monotonic() - began) / options.seconds) < 1:
        learner.step(share)
    learnt = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "learnt.onnx"
        export_keyframes(learner.native, model, frames[:1])
        exported = time.monotonic()
        cpu = SessionOptions(provider=Provider.CPU, threads=2)
        with open_generator(model, SIZE, cpu) as opened:
            made = [opened.run(frame, {}).copy() for frame in frames]
            took = min(_seconds(lambda: opened.run(frames[0], {})) for _ in range(10))
    others, own = score(made[1:], wanted[1:]), score(made[:1], wanted[:1])
    print(
        f"{options.clip.stem}, {options.filter}: {learner.progress.step} updates in "
        f"{learnt - began:.0f} s, exported in {exported - learnt:.1f} s, "
        f"{1000 * took:.1f} ms a frame in ONNX Runtime on two threads"
    )
    for name, found in scores.items():
        print(f"  colours alone, {name}: {found[0]:.2f} dB, SSIM {found[1]:.3f}")
    print(f"  learnt, the key frame: {own[0]:.2f} dB, SSIM {own[1]:.3f}")
    print(
        f"  learnt, other frames: {others[0]:.2f} dB, SSIM {others[1]:.3f}: "
        f"{others[0] - best[0]:+.2f} dB, {others[1] - best[1]:+.3f} above the best of colours"
    )


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
