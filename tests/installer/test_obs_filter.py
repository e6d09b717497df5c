"""The filter script in a real OBS, with a real daemon, and with a daemon that is mad."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from obs_stylizer.errors import SourceWaitingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.obs_filter.alpha import premultiply, straight
from obs_stylizer.obs_filter.heartbeat import Heartbeat
from obs_stylizer.obs_filter.mapping import FilterMapping
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.obs_filter import ObsFilterSource
from tests.fakes.real_obs import SCENES
from tests.installer.filter_in_obs import (
    KIND,
    SIZE,
    Obs,
    daemon,
    environment,
    found_filter,
    inverted,
    noise,
    served,
    tinted,
    write_presets,
)

pytestmark = pytest.mark.obs


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
        here.until(lambda: "Styled by obs-stylizer.\nOn air: Inverted" in here.told)
        # A second one has to wait for it.
        second = ObsFilterSource("Guest", SourceOptions(frame_size=SIZE))
        with second, pytest.raises(SourceWaitingError, match="served by another obs-stylizer"):
            second.open()
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
def test_a_background_that_is_left_out_is_transparent_in_obs(
    here: Obs, settings_folder: Path
) -> None:
    (settings_folder / "obs-stylizer" / "presets" / "cut-out.yaml").write_text(
        f"title: Cut out\nbackground: transparent\nprocess_size: {SIZE}\n", "utf-8"
    )
    here.show("Nobody", noise(10), preset="cut-out")
    with daemon(here, settings_folder, "obs-filter:Nobody"):
        # Nobody is to be seen in it, so that all of it is background.
        here.until(lambda: (here.shot("Nobody")[..., 3] == 0).mean() > 0.9, 30)
    here.remove("Nobody")


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


def test_a_slow_daemon_is_waited_for_and_a_dead_one_is_not(here: Obs, link: FilterMapping) -> None:
    plain, white = noise(5), np.full((180, 320, 4), 255, np.uint8)
    heart = Heartbeat(link)
    heart.go_on(600)
    link.stay_fresh_for(600)
    served(link, 0.5, lambda pixels: white)
    time.sleep(1.0)
    assert np.array_equal(here.shot("Noise"), white)
    heart.go_on(0)
    here.waits_for("Noise", plain, 5)
    heart.close()
    link.stay_fresh_for(0)


def test_a_source_that_comes_back_does_not_flash_plain(here: Obs, link: FilterMapping) -> None:
    white = np.full((180, 320, 4), 255, np.uint8)
    heart = Heartbeat(link)
    heart.go_on(600)
    served(link, 0.5, lambda pixels: white)
    here.ask("SetCurrentProgramScene", sceneName=SCENES[1])
    time.sleep(1.0)
    assert np.array_equal(here.shot("Noise"), white)
    here.ask("SetCurrentProgramScene", sceneName=SCENES[0])
    here.waits_for("Noise", noise(5), 5)  # nobody answers any more
    heart.close()


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
