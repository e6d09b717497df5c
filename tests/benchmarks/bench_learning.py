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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from obs_stylizer.inference.generator import open_generator  # noqa: E402
from obs_stylizer.training.evaluation import FRAME_SIZE, StyleMetric  # noqa: E402
from obs_stylizer.training.features import Vgg19  # noqa: E402
from obs_stylizer.training.pictures import (  # noqa: E402
    fit_frame,
    read_picture,
    scale_to_short_side,
)
from obs_stylizer.training.run_evaluation import STYLE_LAYERS  # noqa: E402

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
    frames = [fit_frame(read_picture(path), FRAME_SIZE) for path in unseen]
    plain = [metric.examine(frame) for frame in frames]
    for number, picture in enumerate(pictures):
        name = f"learnt-{number}"
        command = [sys.executable, "-m", "obs_stylizer", "learn", "--quick", str(picture)]
        command += ["--name", name, "--seconds", f"{seconds:g}"]
        began = time.monotonic()
        memory = peak_of(subprocess.Popen(command))
        took = time.monotonic() - began
        style = metric.examine(scale_to_short_side(read_picture(picture), 512))
        with open_generator("paintings", FRAME_SIZE) as generator:
            made = [metric.examine(generator.run(frame, {name: 1.0})) for frame in frames]
        pairs = list(zip(made, plain, strict=True))
        ratio = np.mean([metric.style_ratio(new, old, style) for new, old in pairs])
        kept = np.mean([metric.content_kept(new, old) for new, old in pairs])
        print(
            f"{picture.stem}: style ratio {ratio:.3f}, content kept {kept:.3f}; "
            f"{took:.0f} s, {memory:.2f} GB",
            flush=True,
        )


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
    with daemon(port) as folder:
        token = (folder / "obs-stylizer" / "token").read_text("utf-8").strip()
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
            learning: dict[str, Any] = status_of(url)["learning"]
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


@contextlib.contextmanager
def daemon(port: int) -> Iterator[Path]:
    """Run a daemon with settings of its own, from when it sends styled pictures on."""
    with tempfile.TemporaryDirectory(prefix="bench-learning-") as name:
        folder = Path(name)
        settings = folder / "config.yaml"
        settings.write_text(f"web: {{port: {port}}}\nlisten_for_keys: false\n", "utf-8")
        command = [sys.executable, "-m", "obs_stylizer", "run", "--config", str(settings)]
        command += ["--source", "pattern", "--sink", "null", "--fps", "30", "--size", "1280x720"]
        command += ["--process-size", "640x360", "--preset", "great-wave"]
        environment = {**os.environ, "XDG_CONFIG_HOME": name, "XDG_CACHE_HOME": name}
        with (folder / "daemon.log").open("wb") as log:
            runs = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=environment)
        try:
            end_at = time.monotonic() + 120
            while status_of(f"http://127.0.0.1:{port}").get("picture") != "styled":
                if time.monotonic() > end_at:
                    sys.exit(f"it does not go on air:\n{(folder / 'daemon.log').read_text()}")
                time.sleep(0.2)
            yield folder
        finally:
            runs.terminate()
            runs.wait(30)


def status_of(url: str) -> dict[str, Any]:
    """Return the daemon's status, empty before there is one."""
    try:
        found: dict[str, Any] = httpx.get(f"{url}/api/status", timeout=10).json()
    except (httpx.TransportError, ValueError):
        return {}
    return found


class Interval:
    """What a daemon sent between two readings of its statistics."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._before = status_of(url)

    def end(self) -> dict[str, float]:
        """Return what was sent since."""
        before, after = self._before, status_of(self._url)
        seconds = after["uptime_s"] - before["uptime_s"]
        sent = after["sent"] - before["sent"]
        repeated = after["repeated"] - before["repeated"]
        return {
            "seconds": round(seconds, 1),
            "sent_fps": round(sent / seconds, 2),
            "fresh_fps": round((sent - repeated) / seconds, 2),
            "missed_ticks": after["missed_ticks"] - before["missed_ticks"],
        }


if __name__ == "__main__":
    main()
