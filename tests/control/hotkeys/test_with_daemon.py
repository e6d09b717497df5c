"""Keys of a real X server change the picture of a real daemon, which outlives that server."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from obs_stylizer.control.hotkeys.hotkey_control import hotkey_control
from obs_stylizer.control.hotkeys.report import read_reports
from obs_stylizer.daemon.app import Daemon
from obs_stylizer.daemon.options import DaemonOptions
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.settings import runtime_folder
from obs_stylizer.sinks.spec import SinkSpec
from obs_stylizer.sources.spec import SourceSpec
from tests.fakes.display import Display
from tests.fakes.models import write_identity_model, write_invert_model

pytestmark = [
    pytest.mark.screen,
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
    # python-xlib leaves the socket of an attempt that failed to Python's own tidying.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def until(condition: Callable[[], object], timeout: float = 30) -> None:
    end = time.perf_counter() + timeout
    while not condition():
        assert time.perf_counter() < end, "waited in vain"
        time.sleep(0.02)


def xdotool(*arguments: str) -> None:
    subprocess.run(["xdotool", *arguments], check=True, timeout=20)


def test_keys_change_the_picture(
    tmp_path: Path,
    x_display: Display,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if shutil.which("xdotool") is None:
        pytest.skip("xdotool is not installed (apt install xdotool)")
    pytest.importorskip("Xlib")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_invert_model(tmp_path / "invert.onnx")
    write_identity_model(tmp_path / "identity.onnx")
    for number, name in enumerate(("identity", "invert"), 1):
        text = f"title: {name}\nmodel: ./{name}.onnx\nprocess_size: 64x36\ncrossfade_ms: 0\n"
        text += f"hotkey: ctrl+alt+{number}\n"
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((72, 128, 3), 50, np.uint8))
    options = DaemonOptions(
        source=SourceSpec.parse(f"image:{tmp_path / 'grey.png'}"),
        sinks=(SinkSpec.parse("null"),),
        preset="identity",
        size=FrameSize(128, 72),
        fps=30.0,
        session=SessionOptions(provider=Provider.CPU, precision=Precision.F32, threads=1),
        preload=False,
    )
    factories = [hotkey_control({"hold bypass": "ctrl+alt+b"})]

    def works() -> list[bool]:
        reports = read_reports(runtime_folder())
        return [not state.problem for report in reports for state in report.hotkeys]

    with Daemon(options, PresetLibrary([tmp_path]), control_surfaces=factories) as daemon:

        def level() -> int:
            assert daemon.presenter is not None
            newest = daemon.presenter.newest
            return -1 if newest is None else int(np.median(newest.pixels))

        until(lambda: level() == 50)
        until(lambda: works() == [True] * 3)
        xdotool("key", "ctrl+alt+2")
        until(lambda: level() == 205)
        xdotool("keydown", "ctrl", "keydown", "alt", "keydown", "b")
        until(lambda: level() == 50)
        xdotool("keyup", "b", "keyup", "alt", "keyup", "ctrl")
        until(lambda: level() == 205)
        xdotool("keydown", "ctrl", "keydown", "alt", "keydown", "b")
        until(lambda: level() == 50)
        x_display.process.kill()
        # The key cannot be let go any more, so the picture does not stay bare for ever.
        until(lambda: level() == 205)
        until(lambda: works() == [False] * 3)
        sent = daemon.statistics().sent
        until(lambda: daemon.statistics().sent > sent + 10)
        told = [record.message for record in caplog.records if "not there" in record.message]
        assert len(told) == 1
    assert works() == []
