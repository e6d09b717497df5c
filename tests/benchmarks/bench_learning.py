"""How near a style comes that is learnt quickly, and what learning costs a daemon on air.

    STYLIZER_DATA=FOLDER .venv/bin/python tests/benchmarks/bench_learning.py PICTURE… [--seconds 60]
    .venv/bin/python tests/benchmarks/bench_learning.py PICTURE --on-air

FOLDER holds ``content/``, ``faces/`` and ``features/vgg19_to_conv3_4_f16.npz``. Each picture is
learnt by the command, alone, with settings of its own; style ratio and content kept are of six
photographs that quick learning never sees (VGG-19, the picture at 512 pixels). Wants: at most 0.45
and at least 0.45, in 90 s at most, within 1.2 GB.

With ``--on-air`` a daemon sends the moving test pattern in a painting's style, 30 frames a second,
and learns beside it. Wants: learnt within 240 s, a first thumbnail within 25 s, at most a tenth
fewer fresh frames than before, no tick missed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from bench_web import Interval, end, start_daemon, token_in, wait_until_styled

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from obs_stylizer.frames import Pixels  # noqa: E402
from obs_stylizer.inference.generator import Generator, open_generator  # noqa: E402
from obs_stylizer.training.evaluation import (  # noqa: E402
    FRAME_SIZE,
    Mix,
    StyleMetric,
    evaluate_styles,
)
from obs_stylizer.training.features import Vgg19  # noqa: E402
from obs_stylizer.training.pictures import (  # noqa: E402
    read_picture,
    scale_to_short_side,
)
from obs_stylizer.training.run_evaluation import STYLE_LAYERS  # noqa: E402
from obs_stylizer.training.style_pictures import STYLE_SIZE  # noqa: E402

LONGEST = 400
BEFORE = 30


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0, help="of learning")
    parser.add_argument("--on-air", action="store_true", help="learn beside a daemon")
    parser.add_argument("--port", type=int, default=8783)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-learning-") as folder:
        os.environ.update(XDG_CONFIG_HOME=folder, XDG_CACHE_HOME=folder)
        if chosen.on_air:
            for picture in chosen.pictures:
                learn_on_air(picture, chosen.port)
            return
        learn_alone(chosen.pictures, chosen.seconds)


def learn_alone(pictures: list[Path], seconds: float) -> None:
    """Learn each picture, and print how near its style comes."""
    data = Path(os.environ["STYLIZER_DATA"])
    features = Vgg19.load(data / "features" / "vgg19_to_conv3_4_f16.npz")
    metric = StyleMetric(features, STYLE_LAYERS)
    unseen = sorted((data / "content").glob("unsplash_*"))[1::6][:4]
    unseen += sorted((data / "faces").glob("*.jpg"))[2:16:13]
    photographs = [read_picture(path) for path in unseen]
    for number, picture in enumerate(pictures):
        name = f"learnt-{number}"
        command = [sys.executable, "-m", "obs_stylizer", "learn", "--quick", str(picture)]
        command += ["--name", name, "--seconds", f"{seconds:g}"]
        began = time.monotonic()
        memory = peak_of(subprocess.Popen(command))
        took = time.monotonic() - began
        style = scale_to_short_side(read_picture(picture), STYLE_SIZE)
        with open_generator("paintings", FRAME_SIZE) as generator:
            found = evaluate_styles(
                partial(painted, generator, name), {name: style}, metric, photographs
            )
        figures = found[name].figures
        print(
            f"{picture.stem}: style ratio {figures['style_ratio']:.3f}, "
            f"content kept {figures['content_kept']:.3f}; "
            f"{took:.0f} s, {memory:.2f} GB",
            flush=True,
        )


def painted(generator: Generator, name: str, frame: Pixels, _mix: Mix | None) -> Pixels:
    """Return a frame in one style, as :func:`evaluate_styles` asks for it."""
    return generator.run(frame, {name: 1.0}).copy()


def peak_of(process: subprocess.Popen[bytes]) -> float:
    """Return the most memory that a process ever had, in gigabytes, when it has ended well."""
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(OSError):
            told = Path(f"/proc/{process.pid}/status").read_text("utf-8")
            peak = max(peak, *map(int, re.findall(r"VmHWM:\s+(\d+) kB", told)), 0)
        time.sleep(0.2)
    if process.returncode:
        sys.exit(process.returncode)
    return peak / 1e6


def learn_on_air(picture: Path, port: int) -> None:
    """Learn a picture beside a daemon, and print what it cost that."""
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="bench-learning-") as name, ExitStack() as stack:
        options = ("--sink", "null", "--process-size", "640x360")
        stack.callback(end, start_daemon(Path(name), port, *options))
        wait_until_styled(url)
        token = token_in(Path(name))
        time.sleep(5)
        before = Interval(url)
        time.sleep(BEFORE)
        print("before:", before.end(), flush=True)
        during, began = Interval(url), time.monotonic()
        sent = httpx.post(
            f"{url}/api/learn-picture",
            params={"name": "learnt-on-air", "token": token},
            content=picture.read_bytes(),
            timeout=30,
        )
        sent.raise_for_status()
        first = None
        while time.monotonic() - began < LONGEST:
            learning: dict[str, Any] = httpx.get(f"{url}/api/status", timeout=30).json()["learning"]
            if first is None and learning.get("samples"):
                first = time.monotonic() - began
            if learning.get("state") in ("learnt", "failed", "forgotten"):
                break
            time.sleep(0.5)
        took = time.monotonic() - began
        print("while learning:", during.end(), flush=True)
        print(
            f"{picture.stem}: {learning.get('state')} after {took:.0f} s, "
            f"{learning.get('samples')} samples, first thumbnail after {first or 0:.0f} s"
        )


if __name__ == "__main__":
    main()
