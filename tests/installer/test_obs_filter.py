"""The filter script in a real OBS, with a real daemon, and with a daemon that is mad."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.obs_filter.alpha import premultiply, straight
from obs_stylizer.obs_filter.layout import NONE, VERSION
from obs_stylizer.obs_filter.listing import Sign, list_filters
from obs_stylizer.obs_filter.mapping import FilterMapping, fitted
from tests.fakes import display, real_obs
from tests.fakes.real_obs import SCENES
from tests.installer.filter_in_obs import (
    KIND,
    SIZE,
    Obs,
    daemon,
    environment,
    inverted,
    noise,
    obs_with_filter,
    tinted,
    write_presets,
)

pytestmark = pytest.mark.obs


@pytest.fixture(scope="module")
def screen() -> Iterator[display.Display]:
    absent = real_obs.missing()
    if absent:
        pytest.skip(f"{absent} not installed (apt install obs-studio xvfb)")
    with display.start(1280, 800) as started:
        yield started


@pytest.fixture(scope="module")
def obs(screen: display.Display, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Obs]:
    with obs_with_filter(screen, tmp_path_factory.mktemp("obs")) as started:
        yield started


@pytest.fixture
def here(obs: Obs, monkeypatch: pytest.MonkeyPatch) -> Obs:
    """OBS, whose filters this process sees."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(obs.run_folder))
    return obs


@pytest.fixture
def settings_folder(tmp_path: Path) -> Path:
    write_presets(tmp_path)
    return tmp_path


def test_the_picture_is_that_of_render(here: Obs, settings_folder: Path, tmp_path: Path) -> None:
    plain = noise(1)
    here.show("Picture", plain)
    here.waits_for("Picture", plain)
    options = ["-o", str(tmp_path / "styled.png"), "--preset", "inverted"]
    picture = str(here.real.home / "Picture.png")
    subprocess.run(
        [sys.executable, "-m", "obs_stylizer", "render", picture, *options],
        env=environment(here, settings_folder),
        check=True,
        capture_output=True,
    )
    rendered = np.array(Image.open(tmp_path / "styled.png").convert("RGBA"))
    assert np.array_equal(rendered, inverted(plain))
    with daemon(here, settings_folder):
        here.waits_for("Picture", rendered)
        here.remove("Picture")
        # The daemon goes over to the filter that is shown. Alpha stays as it is.
        clear = noise(2)
        clear[..., 3] = np.arange(SIZE.width) % 256
        before = here.show("Clear", clear)
        colours, alpha = straight(before)
        assert alpha is not None
        assert np.array_equal(alpha, clear[..., 3])
        expected = inverted(before)
        expected[..., :3] = 255 - colours
        premultiply(expected, alpha)
        here.waits_for("Clear", expected)
    here.remove("Clear")


def test_a_daemon_that_is_killed_stopped_and_started_again(
    here: Obs, settings_folder: Path
) -> None:
    plain = noise(3)
    here.show("Guest", plain)
    styled = inverted(plain)
    with daemon(here, settings_folder, "obs-filter:Guest") as process:
        here.waits_for("Guest", styled)
        os.killpg(process.pid, signal.SIGSTOP)
        here.waits_for("Guest", plain, 10)
        os.killpg(process.pid, signal.SIGCONT)
        here.waits_for("Guest", styled)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    here.waits_for("Guest", plain, 10)
    with daemon(here, settings_folder, "obs-filter:Guest"):
        here.waits_for("Guest", styled)
        # Another size and shape, while it is on: dark on the left, bright on the right.
        halves = np.full((200, 96, 4), 255, np.uint8)
        halves[:, :48, :3], halves[:, 48:, :3] = 40, 200
        Image.fromarray(halves).save(here.real.home / "halves.png")
        settings = {"file": str(here.real.home / "halves.png")}
        here.ask("SetInputSettings", inputName="Guest", inputSettings=settings)
        columns = [3, 40, 55, 92]
        until = time.monotonic() + 20
        while True:
            shot = here.shot("Guest")
            if shot.shape == halves.shape and shot[100, 3, 0] == 215:
                break
            assert time.monotonic() < until
            time.sleep(0.05)
        for row in (2, 100, 197):
            assert shot[row, columns, 0].tolist() == [215, 215, 55, 55]
    here.waits_for("Guest", halves, 10)
    here.remove("Guest")


def test_two_filters_each_in_its_own_style(here: Obs, settings_folder: Path) -> None:
    one, two = noise(7), noise(8)
    here.show("One", one)
    here.show("Two", two, preset="tinted")
    with daemon(here, settings_folder, "obs-filter:One"):
        here.waits_for("One", inverted(one))
        here.waits_for("Two", tinted(two))
        here.waits_for("One", inverted(one))
        # Another one beside the source, and what is on air from the source's own properties.
        for name, preset in (("Two", "inverted"), ("One", "tinted")):
            here.ask(
                "SetSourceFilterSettings",
                sourceName=name,
                filterName="style",
                filterSettings={"preset": preset},
            )
        here.waits_for("Two", inverted(two))
        here.waits_for("One", tinted(one))
        # Without one of its own it follows what is on air.
        here.ask(
            "SetSourceFilterSettings",
            sourceName="Two",
            filterName="style",
            filterSettings={"preset": ""},
        )
        here.waits_for("Two", tinted(two))
    here.waits_for("Two", two, 10)
    here.remove("One", "Two")


@pytest.mark.slow
def test_scenes_and_events_act_as_with_a_camera(here: Obs, settings_folder: Path) -> None:
    plain = noise(9)
    here.show("Camera", plain)
    port, password = here.real.port, here.real.password
    settings = f"obs: {{port: {port}, password: {password}, scenes: {{{SCENES[1]}: tinted}}}}\n"
    with daemon(here, settings_folder, "obs-filter:Camera", settings):
        here.waits_for("Camera", inverted(plain))
        here.ask("SetCurrentProgramScene", sceneName=SCENES[1])
        here.waits_for("Camera", tinted(plain))
        event = {"obs_stylizer": {"command": "preset", "name": "inverted"}}
        here.ask("BroadcastCustomEvent", eventData=event)
        here.waits_for("Camera", inverted(plain))
        here.ask("BroadcastCustomEvent", eventData={"obs_stylizer": {"command": "bypass"}})
        here.waits_for("Camera", plain)
        here.ask("SetCurrentProgramScene", sceneName=SCENES[0])
    here.remove("Camera")


@pytest.fixture
def link(here: Obs) -> Iterator[FilterMapping]:
    """The daemon's end of a filter on “Noise”, without a daemon."""
    sign = Sign(SIZE)
    sign.show()
    here.show("Noise", noise(5))
    found = found_filter()
    mapping = FilterMapping(found)
    mapping.ask_for(SIZE)
    yield mapping
    mapping.close()
    sign.remove()
    here.remove("Noise")


def found_filter() -> Path:
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


def test_a_daemon_that_writes_nonsense(here: Obs, link: FilterMapping) -> None:
    plain, white = noise(5), np.full((180, 320, 4), 255, np.uint8)
    assert served(link, 1.0, lambda pixels: white) > 5
    here.waits_for("Noise", plain)  # nobody answers any more
    channel = link._header["to_obs"]
    for width, height, stride in (
        (0, 0, 0),
        (4_000_000_000, 4, 4),
        (320, 180, 1),
        (320, 4_000_000_000, 1280),
        (5000, 5000, 20_000),
        (70_000, 1, 280_000),
    ):
        slot = (int(channel["newest"][0]) + 1) % 3
        slots = channel["slots"]
        slots["width"][0, slot], slots["height"][0, slot] = width, height
        slots["stride"][0, slot] = stride
        slots["begun"][0, slot] += 1
        slots["finished"][0, slot] = slots["begun"][0, slot]
        channel["newest"][0] = slot
        channel["published"][0] += 1
        link.beat()
        time.sleep(0.1)
        assert np.array_equal(here.shot("Noise"), plain)
    channel["newest"][0] = 4_000_000_000
    channel["published"][0] += 1
    channel["reading"][0] = 77
    link._header["to_daemon"]["reading"][0] = 123_456
    link._header["to_daemon"]["newest"][0] = 99_999
    sizes = ((0, 2**32 - 1), (2**32 - 1, 0), (8000, 8000), (1, 1))
    for size, trouble in zip(sizes, (np.nan, np.inf, -1e300, 0.0), strict=True):
        link._header["wanted_width"][0], link._header["wanted_height"][0] = size
        link._header["fresh_ms"][0] = trouble
        link.beat()
        time.sleep(0.1)
        assert np.array_equal(here.shot("Noise"), plain)
    # A sound one is served by the same filter again.
    channel["newest"][0] = channel["reading"][0] = NONE
    link._header["fresh_ms"][0] = 0
    link.ask_for(SIZE)
    served(link, 1.0, lambda pixels: white)
    link.beat()


def test_a_daemon_of_another_version_is_refused_in_words(here: Obs, link: FilterMapping) -> None:
    link._header["daemon_version"][0] = VERSION + 1
    assert served(link, 1.0, lambda pixels: pixels) == 0
    assert np.array_equal(here.shot("Noise"), noise(5))
    assert f"the obs-stylizer that runs version {VERSION + 1}" in here.real.log()


@pytest.mark.slow
def test_process_sizes_and_torn_pictures(here: Obs, link: FilterMapping) -> None:
    rng = random.Random(3)

    def uniform(pixels: Pixels) -> Pixels:
        made = np.full_like(pixels, rng.randrange(256))
        made[..., 3] = 255
        return made

    for _ in range(10):
        link.ask_for(FrameSize(rng.randrange(16, 320), rng.randrange(16, 180)))
        served(link, 0.15, uniform)
        shot = here.shot("Noise")
        assert (shot == shot[0, 0]).all() or np.array_equal(shot, noise(5))


def test_removed_and_added_again(here: Obs, link: FilterMapping) -> None:
    here.ask("RemoveSourceFilter", sourceName="Noise", filterName="style")
    until = time.monotonic() + 10
    while not link.is_closed:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not link.path.exists()
    here.ask(
        "CreateSourceFilter",
        sourceName="Noise",
        filterName="style",
        filterKind=KIND,
        filterSettings={},
    )
    assert found_filter() != link.path


def wait_for_size(here: Obs, link: FilterMapping, size: FrameSize) -> None:
    here.until(lambda: link.source_size == size)


@pytest.mark.slow
def test_sources_of_every_size(here: Obs, link: FilterMapping) -> None:
    """Also those that a software renderer draws only now and then: nobody crashes."""
    canvas = FrameSize(1280, 720)
    colour = {"inputKind": "color_source_v3", "sceneName": SCENES[0], "inputName": "Red"}
    here.ask("CreateInput", **colour, inputSettings={"color": 0xFF0000FF})
    one = {"sourceName": "Red", "filterName": "style", "filterKind": KIND}
    here.ask("CreateSourceFilter", **one, filterSettings={})
    here.until(lambda: any(info.source == "Red" for info in list_filters()))
    red = FilterMapping(next(info.path for info in list_filters() if info.source == "Red"))
    for width, height in ((333, 777), (2, 2), (1, 1), (1921, 1081), (7680, 4320), (64, 64)):
        settings = {"width": width, "height": height}
        here.ask("SetInputSettings", inputName="Red", inputSettings=settings)
        wait_for_size(here, red, FrameSize(width, height))
        red.ask_for(fitted(FrameSize(width, height), canvas, red.slot_bytes))
        answers = served(red, 1.5, inverted)
        small = {"imageFormat": "png", "imageWidth": 8, "imageHeight": 8}
        here.ask("GetSourceScreenshot", sourceName="Red", **small)
        assert answers > 3 or width > 1000
    here.remove("Red")
    empty = {"inputKind": "image_source", "sceneName": SCENES[0], "inputName": "Empty"}
    here.ask("CreateInput", **empty, inputSettings={})
    here.ask("CreateSourceFilter", **{**one, "sourceName": "Empty"}, filterSettings={})
    time.sleep(1.5)
    assert all(info.source != "Empty" for info in list_filters())
    red.close()
    here.remove("Empty")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root may mount")
def test_a_full_file_system_is_said_and_the_source_stays_plain(
    screen: display.Display, tmp_path: Path
) -> None:
    mounting = (
        'mount -t tmpfs -o size=1m none "$XDG_RUNTIME_DIR" && mkdir "$XDG_RUNTIME_DIR/obs-stylizer"'
        f' && echo "obs-stylizer {VERSION} 640x360 1" > "$XDG_RUNTIME_DIR/obs-stylizer/daemon"'
        ' && exec "$@"'
    )
    prefix = ("unshare", "-m", "sh", "-c", mounting, "sh")
    with obs_with_filter(screen, tmp_path, prefix) as obs:
        plain = noise(6)
        obs.show("Picture", plain)
        until = time.monotonic() + 15
        while "it is full" not in obs.real.log():
            assert time.monotonic() < until
            time.sleep(0.1)
        obs.waits_for("Picture", plain)
