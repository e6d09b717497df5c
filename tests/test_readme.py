"""Every command that README.md names in a block is run, in its order, as a reader would."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from urllib.request import urlopen

import pytest

from obs_stylizer.bench.clips import write_clip
from obs_stylizer.frames import FrameSize
from tests.fakes.foreign_models import Foreign, write_foreign_model

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")

# What changes the machine, or takes the network or long, is run for real by these tests.
ELSEWHERE = {
    "python3 installer/install.py install": "installer/test_lifecycle.py::installed",
    "python3 installer/install.py virtual-camera": "installer/test_virtual_camera.py::test_",
    "python3 installer/install.py run": "installer/test_installation.py::test_",
    "python3 installer/install.py test": "installer/test_commands.py::test_every_check_runs",
    'pip install "obs-stylizer[training]"': "installer/test_wheel.py::test_",
    "obs-stylizer fetch-features": "training/test_features.py::test_",
    "obs-stylizer learn my-drawing.jpg": "training/test_learn.py::test_",
    "obs-stylizer obs setup --filter": "cli/test_obs_filter.py::test_",
    "obs-stylizer run --source obs-filter": "installer/test_obs_filter.py::test_",
    "obs-stylizer run --preset my-drawing": "training/test_learn.py::test_",
    "obs-stylizer learn --quick": "training/test_quick_learning.py::test_",
    "obs-stylizer learn --keyframe": "training/test_keyframe_learning.py::test_",
    "obs-stylizer run --preset mine": "training/test_keyframe_learning.py::test_",
    "obs-stylizer styles": "training/test_quick_learning.py::test_",
    "python3 -m pip wheel": "installer/test_wheel.py::test_",
    "python3 installer/windows/build.py": "installer/test_windows_setup.py::test_",
}
NEEDS_DAEMON = ("obs-stylizer ctl", "curl")
UNTIL_STOPPED = {"obs-stylizer run": r"source \S+: ", "obs-stylizer render --watch": "outgoing/"}
RECIPE = """
name: mine
seed: 3
precision: f32
objective: painting
painting:
  styles: {stripes: {picture: me.jpg, size: 64}}
  features: features.npz
data: {content: [photos], hold_out: 1, crop: 32, short_side: [32, 64]}
generator: {channels: 8, blocks: 1}
discriminator: {channels: [8, 8]}
schedule: {steps: 2, batch: 1}
"""


def commands() -> list[str]:
    """Lines of the blocks that have no language."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [line for language, block in blocks if not language for line in block.splitlines()]


def elsewhere(command: str) -> str:
    return next((test for start, test in ELSEWHERE.items() if command.startswith(start)), "")


RUN_HERE = [command for command in commands() if not elsewhere(command)]


@dataclass
class Reader:
    """Somebody with an account of their own, in a folder with some files."""

    folder: Path
    environment: dict[str, str]
    port: int
    daemon: subprocess.Popen[str] | None = None

    def go_on_air(self) -> None:
        """Start a daemon, unless there is one, for the commands that speak to it."""
        if self.daemon is None:
            self.daemon = self.start("exec obs-stylizer run --source pattern --sink null")
            wait_for(f"http://127.0.0.1:{self.port}/api/status", self.daemon)

    def go_off_air(self) -> None:
        """End it: there can be one only."""
        if self.daemon is not None:
            stop(self.daemon)
            self.daemon = None

    def start(self, command: str) -> subprocess.Popen[str]:
        if command.startswith("python3 installer"):
            command = command.replace("python3 installer", f"{sys.executable} {ROOT}/installer")
        # Nobody sits at a terminal to say yes.
        command = command.replace("models adopt", "models adopt --yes")
        return subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", command.replace("8765", str(self.port))],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> str:
        process = self.start(command)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        return output


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("reader")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    environment = {
        **os.environ,
        "HOME": str(folder / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        **{f"XDG_{name}_HOME": str(folder / "home" / name.lower()) for name in
           ("CACHE", "CONFIG", "DATA", "STATE")},
    }  # fmt: skip
    settings = folder / "home" / "config" / "obs-stylizer" / "config.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f"web: {{port: {port}}}\nprovider: cpu\nprecision: f32\nsize: 320x180\n"
        "process_size: 64x48\npreload: false\nlisten_for_keys: false\n",
        "utf-8",
    )
    fill(folder)
    here = Reader(folder, environment, port)
    yield here
    here.go_off_air()


def fill(folder: Path) -> None:
    """Make the files that the commands speak of."""
    from tests.training.conftest import DEEPER, LAYERS, scene, write_features, write_picture

    for name in ("me.jpg", "room.jpg"):
        write_picture(folder / name, scene(len(name), 180, 320))
    for number in range(3):
        for place in ("photos", "frames"):
            write_picture(folder / place / f"{number:03}.png", scene(number, 96, 128))
    for name in ("clip.mp4", "other.mp4"):
        write_clip(folder / name, FrameSize(128, 96), 25, 0.4)
    (folder / "incoming").mkdir()
    shutil.copy(folder / "clip.mp4", folder / "incoming")
    write_foreign_model(folder / "their-model.onnx", Foreign())
    write_features(folder / "features.npz", {**LAYERS, **DEEPER})
    (folder / "recipe.yaml").write_text(RECIPE, "utf-8")


def wait_for(url: str, process: subprocess.Popen[str]) -> None:
    end = monotonic() + 60
    while monotonic() < end:
        assert process.poll() is None, process.communicate()[0]
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            sleep(0.2)
    pytest.fail(f"nothing answers at {url}")


def stop(process: subprocess.Popen[str]) -> str:
    os.killpg(process.pid, signal.SIGINT)
    try:
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    return output


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are a POSIX shell's")
@pytest.mark.timeout(180)
@pytest.mark.parametrize("command", RUN_HERE)
def test_a_command_does_what_it_is_written_for(
    command: str, reader: Reader, request: pytest.FixtureRequest
) -> None:
    if command.split()[0] in ("ffmpeg", "curl") and shutil.which(command.split()[0]) is None:
        pytest.skip(f"{command.split()[0]} is not installed")
    if command.startswith(NEEDS_DAEMON):
        reader.go_on_air()
    else:
        reader.go_off_air()
    if "--source screen" in command:
        reader.environment["DISPLAY"] = request.getfixturevalue("x_display").name
    begun = [sign for start, sign in UNTIL_STOPPED.items() if command.startswith(start)]
    if begun:
        process = reader.start(f"exec {command}")
        try:
            watch(process, begun[0])
        finally:
            rest = stop(process)
        assert process.returncode == 0, rest
    else:
        reader.run(command)


def watch(process: subprocess.Popen[str], sign: str) -> None:
    """Read what a program prints until ``sign`` is in it."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if re.search(sign, line):
            return
    pytest.fail(f"it ended without a word of {sign}: {seen}")


@pytest.mark.parametrize("command", [command for command in commands() if elsewhere(command)])
def test_a_command_is_run_by_another_test(command: str) -> None:
    place, _, name = elsewhere(command).partition("::")
    path = ROOT / "tests" / place
    assert path.exists()
    assert not name or f"def {name}" in path.read_text("utf-8")


def test_every_picture_and_file_that_is_linked_is_there() -> None:
    for page in (ROOT / "README.md", ROOT / "onnx" / "README.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), target


def test_every_link_within_the_page_leads_somewhere() -> None:
    titles = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    for anchor in re.findall(r"\]\(#([^)]+)\)", README):
        assert anchor in anchors


def test_the_presets_and_generators_named_in_commands_exist() -> None:
    for command in commands():
        for name in re.findall(r"(?:--preset|presets show|ctl preset|=)\s?([a-z]+(?:-[a-z]+)+)",
                               command):  # fmt: skip
            assert (ROOT / "presets" / f"{name}.yaml").exists() or name == "my-drawing", name
