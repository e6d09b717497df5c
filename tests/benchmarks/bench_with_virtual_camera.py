"""Runs ``obs-stylizer bench`` on a machine without a virtual camera, with the tests' fake device.

    .venv/bin/python tests/benchmarks/bench_with_virtual_camera.py --row realtime

pyvirtualcam's own Linux back end runs unchanged; only the device behind it is a file, which is
thrown away. Arguments go to ``obs-stylizer bench``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.fakes import shim  # noqa: E402


def main() -> int:
    """Build the fake device and run the bench under it."""
    if shim.compiler() is None:
        sys.exit("a C compiler is needed for the fake virtual camera: apt install gcc")
    with tempfile.TemporaryDirectory(prefix="bench-shim-") as name:
        folder = Path(name)
        library = shim.build(folder)
        devices = folder / "devices"
        devices.mkdir()
        # Nobody looks at the frames, and at 60 a second they would fill a disk.
        for device in shim.DEVICES:
            shim.throw_frames_away(device, devices)
        command = [sys.executable, "-m", "obs_stylizer", "bench", *sys.argv[1:]]
        return subprocess.run(command, env=shim.environment(library, devices)).returncode


if __name__ == "__main__":
    sys.exit(main())
