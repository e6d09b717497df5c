"""Trains the bundled generators further, in order of worth, within a given time, and exports them.

    python tests/benchmarks/train_library.py --minutes 9 --device cuda --output trained

Each starts from its file in onnx/, so that every stretch of training adds to the last; what came
out of a stretch lies in OUTPUT/NAME.onnx with its recipe and its run directory beside it, and
nothing in onnx/ is changed. A checkpoint is written every minute. With --doctor, `doctor` and
`bench` run last, with the CUDA provider where the device is one. Pictures are found through
STYLIZER_DATA.

Slow teachers (cel) make their targets first, on the CPU, and keep them in OUTPUT/targets: bring
that folder along. Try it with seconds on a CPU before time on a GPU is spent:

    python tests/benchmarks/train_library.py --minutes 0.2 --only paintings.lite --output trained

(On a GPU it was not run by us yet.)
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
WORTH = {"paintings": 5.0, "cel": 1.5, "paintings.lite": 1.5, "comic": 0.5, "webcam-clean": 0.5}
"""Share of the time, in the order in which it is spent; what is not bundled is left out."""


def main() -> int:
    """Train, export, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="for all of them together")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--output", type=Path, required=True, help="folder for what comes out")
    parser.add_argument("--only", nargs="*", help="names of generators, instead of all")
    parser.add_argument("--doctor", action="store_true", help="run doctor and bench last")
    asked = parser.parse_args()
    names = [name for name in WORTH if (ROOT / "onnx" / f"{name}.onnx").is_file()]
    if asked.only:
        unknown = set(asked.only) - set(names)
        if unknown:
            parser.error(f"there is no generator {min(unknown)}; there are {', '.join(names)}")
        names = [name for name in names if name in asked.only]
    failed = []
    left = asked.minutes * 60
    for name in names:
        share = WORTH[name] / sum(WORTH[other] for other in names[names.index(name) :])
        began = time.monotonic()
        if not _train(name, left * share, asked.device, asked.output):
            failed.append(name)
        left = max(0.0, left - (time.monotonic() - began))
        print(f"{name}: {time.monotonic() - began:.0f} s, {left:.0f} s left", flush=True)
    if asked.doctor:
        provider = "cuda" if asked.device.startswith("cuda") else "cpu"
        _run("doctor")
        _run("bench", "--provider", provider)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


def _train(name: str, seconds: float, device: str, output: Path) -> bool:
    """Train one generator for so long, starting from the bundled file; export what came of it."""
    recipe: dict[str, Any] = yaml.safe_load((ROOT / "onnx" / f"{name}.yaml").read_text("utf-8"))
    recipe["schedule"] |= {
        "minutes": max(seconds / 60, 0.05),
        "steps": 10**6,
        "checkpoint_minutes": 1,
        "sample_every": 10**6,
    }
    if recipe.get("paired", {}).get("teacher_sizes"):
        # Seconds a picture, on the CPU: made once, before time on a GPU is spent if need be.
        recipe["paired"]["kept_targets"] = str(output.resolve() / "targets")
    run = output / f"{name}-run"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe, sort_keys=False), "utf-8")
        start = ("--start-from", str(ROOT / "onnx" / f"{name}.onnx"))
        trained = _run("train", str(path), "--run-dir", str(run), "--device", device, *start)
    return trained and _run("export", str(run), "--output", str(output / f"{name}.onnx"))


def _run(*arguments: str) -> bool:
    print("obs-stylizer", *arguments, flush=True)
    done = subprocess.run([sys.executable, "-m", "obs_stylizer", *arguments], cwd=ROOT, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
