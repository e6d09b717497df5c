"""The whole daemon between a real camera driver and a real v4l2loopback device.

See ``test_devices.py`` for the machine that this needs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest

from obs_stylizer import v4l2
from tests.fakes.models import write_invert_model

pytestmark = pytest.mark.hardware

CAMERA, LOOPBACK = "/dev/video0", "/dev/video1"
DRIVER = Path("/sys/bus/platform/drivers/vivid")
# An emulated machine takes its time, up to 300 times what a real one does.
TIMEOUT = 200.0

READ = """
import json, sys, cv2
capture = cv2.VideoCapture(sys.argv[1], cv2.CAP_V4L2)
for line in sys.stdin:
    for _ in range(3):
        ok, picture = capture.read()
    print(json.dumps(bool(ok) and [list(picture.shape), float(picture.mean())]), flush=True)
"""


@pytest.fixture(autouse=True, scope="module")
def needs_the_devices() -> None:
    try:
        drivers = (v4l2.query_path(CAMERA).driver, v4l2.query_path(LOOPBACK).driver)
    except OSError as error:
        pytest.skip(f"not the machine for it: {error}")
    if drivers != ("vivid", v4l2.LOOPBACK_DRIVER):
        pytest.skip(f"not the machine for it: {drivers}")


@pytest.fixture
def stats(tmp_path: Path) -> Iterator[Path]:
    """A daemon on air from the camera to the loopback; its statistics file."""
    presets = tmp_path / "config" / "obs-stylizer" / "presets"
    presets.mkdir(parents=True)
    write_invert_model(presets / "invert.onnx")
    text = "title: Invert\nmodel: ./invert.onnx\nprocess_size: 80x48\n"
    (presets / "invert.yaml").write_text(text, "utf-8")
    patient = "preload: false\nadapt: false\nworker: {hang_seconds: 60, start_seconds: 300}\n"
    (presets.parent / "config.yaml").write_text(patient, "utf-8")
    stats = tmp_path / "stats.json"
    command = [sys.executable, "-m", "obs_stylizer", "run", "--source", "camera"]
    command += ["--sink", f"virtual-camera:{LOOPBACK}", "--preset", "invert", "--size", "160x96"]
    command += ["--fps", "5", "--provider", "cpu", "--stats", str(stats)]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    yield stats
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=TIMEOUT)
    print(errors)
    assert process.returncode == 0
    assert not (DRIVER / "vivid.0").exists() or "off air after" in errors


def told(stats: Path) -> dict[str, Any]:
    return json.loads(stats.read_text("utf-8")) if stats.exists() else {}


def until(condition: Callable[[], object]) -> None:
    end = monotonic() + TIMEOUT
    while not condition():
        assert monotonic() < end, "waited in vain"
        sleep(0.2)


def test_camera_to_virtual_camera_through_unplugging_and_a_killed_worker(stats: Path) -> None:
    until(lambda: told(stats).get("styled", 0) > 5)
    reader = subprocess.Popen(
        [sys.executable, "-c", READ, LOOPBACK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def picture() -> list[Any]:
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write("\n")
        reader.stdin.flush()
        seen = json.loads(reader.stdout.readline())
        assert seen, "the other program got no picture"
        return list(seen)

    shape, mean = picture()
    assert shape == [96, 160, 3]
    assert np.isfinite(mean)

    (DRIVER / "unbind").write_text("vivid.0")
    try:
        until(lambda: told(stats)["source_state"] == "lost")
        until(lambda: told(stats)["picture"] == "standby")
        # On air, and dark once the other program has read what was waiting for it.
        until(lambda: picture()[1] < 60)
    finally:
        (DRIVER / "bind").write_text("vivid.0")
    until(lambda: told(stats)["source_state"] == "open")
    until(lambda: told(stats)["picture"] != "standby")
    picture()

    before = told(stats)
    os.kill(before["worker_pid"], signal.SIGKILL)
    until(lambda: told(stats)["worker_restarts"] == before["worker_restarts"] + 1)
    until(lambda: told(stats)["styled"] > before["styled"] + 3)
    picture()
    reader.kill()
    reader.communicate()
    after = told(stats)
    print(json.dumps(after, indent=1))
    assert after["sinks"][0]["reopened"] == 0
