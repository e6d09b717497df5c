"""A real OBS with our filter script, a hand on it, and a real daemon beside it."""

from __future__ import annotations

import base64
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from obs_stylizer.control.obs.connection import Connection
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.obs_filter.listing import list_filters
from obs_stylizer.obs_filter.mapping import FilterMapping
from tests.fakes import display
from tests.fakes.models import TINTS, write_invert_model, write_tint_model
from tests.fakes.real_obs import SCENES, RealObs

SCRIPT = Path(__file__).resolve().parents[2] / "installer" / "obs" / "obs-stylizer-filter.lua"
KIND = "obs_stylizer_filter"
SIZE = FrameSize(320, 180)
# Loads the script and writes, twice a second, what the properties of a drawn filter show.
_TOLD_SCRIPT = """
local obs = obslua
local register, add, path = obs.obs_register_source, obs.obs_properties_add_text, "%(told)s"
obs.obs_properties_add_text = function(properties, name, text, kind)
    local file = io.open(path .. ".new", "w")
    file:write(text)
    file:close()
    os.rename(path .. ".new", path)
    return add(properties, name, text, kind)
end
obs.obs_register_source = function(info)
    local render, count = info.video_render, 0
    info.video_render = function(it)
        render(it)
        count = count + 1
        if count %% 15 == 0 then
            obs.obs_properties_destroy(info.get_properties(it))
        end
    end
    register(info)
end
dofile("%(script)s")
"""


def write_told_script(folder: Path) -> Path:
    """Write a script that is ours, and tells what the properties show: see :attr:`Obs.told`."""
    script = folder / SCRIPT.name
    values = {"told": folder / "told.txt", "script": SCRIPT}
    script.write_text(_TOLD_SCRIPT % values, "utf-8")
    return script


class Obs:
    """OBS with the script, and a hand on it."""

    def __init__(self, obs: RealObs) -> None:
        self.real = obs
        self.run_folder = obs.home / "run"
        self._connect()

    def _connect(self) -> None:
        port, password = self.real.port, self.real.password
        self._connection = Connection("127.0.0.1", port, password, lambda event: None)
        self._connection.connect()
        self._thread = threading.Thread(target=self._connection.receive)
        self._thread.start()

    @property
    def told(self) -> str:
        """What the properties of the filter that was drawn last show; see write_told_script."""
        path = self.real.scripts[0][0].parent / "told.txt"
        return path.read_text("utf-8") if path.exists() else ""

    def start_again(self) -> None:
        """End OBS as its own menu does, and start it."""
        self.leave()
        self.real.end()
        self.real.start()
        self._connect()

    def ask(self, request: str, **data: Any) -> dict[str, Any]:
        return self._connection.ask(request, **data)

    def show(self, name: str, pixels: Pixels, preset: str = "") -> Pixels:
        """Add a picture to the scene on program, and then our filter; return how it looked."""
        path = self.real.home / f"{name}.png"
        Image.fromarray(pixels).save(path)
        self.ask(
            "CreateInput",
            sceneName=SCENES[0],
            inputName=name,
            inputKind="image_source",
            inputSettings={"file": str(path)},
        )
        until = time.monotonic() + 10
        while not (looked := self.shot(name)).any():
            assert time.monotonic() < until
        self.ask(
            "CreateSourceFilter",
            sourceName=name,
            filterName="style",
            filterKind=KIND,
            filterSettings={"preset": preset} if preset else {},
        )
        return looked

    def shot(self, name: str) -> Pixels:
        shot = self.ask("GetSourceScreenshot", sourceName=name, imageFormat="png")["imageData"]
        picture = Image.open(io.BytesIO(base64.b64decode(shot.split(",")[1])))
        return np.array(picture.convert("RGBA"))

    def waits_for(self, name: str, pixels: Pixels, seconds: float = 30.0) -> None:
        """Return when a source looks exactly so."""
        until = time.monotonic() + seconds
        while not np.array_equal(self.shot(name), pixels):
            assert time.monotonic() < until, f"{name} never looked so; {self.real.log()[-2000:]}"
            time.sleep(0.05)

    def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        """Return when a condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.05)

    def remove(self, *names: str) -> None:
        for name in names:
            self.ask("RemoveInput", inputName=name)
        # OBS lets go of them a moment later, on a thread of its own.
        until = time.monotonic() + 10
        while {item["inputName"] for item in self.ask("GetInputList")["inputs"]} & set(names):
            assert time.monotonic() < until
            time.sleep(0.02)

    def leave(self) -> None:
        self._connection.leave()
        self._thread.join(5)


@contextmanager
def obs_with_filter(
    screen: display.Display,
    home: Path,
    prefix: tuple[str, ...] = (),
    script: Path = SCRIPT,
    may_fail: bool = False,
    size: tuple[int, int] = (320, 180),
) -> Iterator[Obs]:
    """Run it; ``may_fail`` says that the script is broken on purpose."""
    scripts = [(script, {})]
    real = RealObs(home, screen.name, fps=30, size=size, scripts=scripts, prefix=prefix)
    real.configure()
    real.start()
    try:
        hand = Obs(real)
        yield hand
        hand.leave()
    finally:
        real.end()
    shown = [line for line in real.log().splitlines() if "[Lua: obs-stylizer-filter.lua]" in line]
    assert may_fail or not [line for line in shown if "rror" in line or "attempt to" in line], shown
    # OBS 29 itself may crash while its window is taken apart, also without any script.
    assert not real.ended_well[-1] or "Number of memory leaks: 0" in real.log()


def write_presets(folder: Path) -> None:
    """Put presets “inverted” and “tinted”, which adds to the red, into a folder of settings."""
    presets = folder / "obs-stylizer" / "presets"
    presets.mkdir(parents=True)
    write_invert_model(presets / "inverted.onnx")
    (presets / "inverted.yaml").write_text(
        f"title: Inverted\nmodel: inverted.onnx\nprocess_size: {SIZE}\n", "utf-8"
    )
    write_tint_model(presets / "tinted.onnx")
    (presets / "tinted.yaml").write_text(
        f"title: Tinted\nmodel: tinted.onnx\nprocess_size: {SIZE}\n", "utf-8"
    )


def environment(obs: Obs, settings_folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "XDG_CONFIG_HOME": str(settings_folder),
        "XDG_RUNTIME_DIR": str(obs.run_folder),
    }


@contextmanager
def daemon(
    obs: Obs, settings_folder: Path, source: str = "obs-filter", settings: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """The real one, in a process group of its own."""
    (settings_folder / "obs-stylizer" / "config.yaml").write_text(
        f"web: {{enabled: false}}\npreload: false\n{settings}", "utf-8"
    )
    with (settings_folder / "daemon.log").open("ab") as log:
        options = f"--source {source} --sink null --preset inverted --size {SIZE}"
        process = subprocess.Popen(
            [sys.executable, "-m", "obs_stylizer", "run", *options.split()],
            env=environment(obs, settings_folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def noise(seed: int, size: tuple[int, int] = (SIZE.width, SIZE.height)) -> Pixels:
    rng = np.random.default_rng(seed)
    pixels: Pixels = rng.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    pixels[..., 3] = 255
    return pixels


def inverted(pixels: Pixels) -> Pixels:
    result = pixels.copy()
    result[..., :3] = 255 - result[..., :3]
    return result


def tinted(pixels: Pixels) -> Pixels:
    """What the preset “tinted” makes of a picture."""
    result = pixels.copy()
    result[..., :3] = np.minimum(pixels[..., :3] + np.array(TINTS[0]), 255).astype(np.uint8)
    return result


def found_filter() -> Path:
    """Return the file of the filter on “Noise”, once it was drawn."""
    until = time.monotonic() + 10
    while True:
        found = [info for info in list_filters() if info.source == "Noise" and info.size]
        if found:
            return found[0].path
        assert time.monotonic() < until
        time.sleep(0.05)


def served(link: FilterMapping, seconds: float, answer: Callable[[Pixels], Pixels]) -> int:
    """Be a daemon for a while; return how many pictures were answered."""
    answers = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        link.beat()
        picture = link.read()
        if picture is None:
            time.sleep(0.002)
            continue
        made = answer(picture.pixels)
        link.answer_into(FrameSize(made.shape[1], made.shape[0]))[:] = made
        link.publish(picture.sequence)
        answers += 1
    return answers
