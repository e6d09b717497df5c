"""What the filter script in a real OBS does with nonsense, foreign folders and odd sources."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import pytest

from obs_stylizer.frames import FrameSize
from obs_stylizer.obs_filter.layout import NONE, VERSION
from obs_stylizer.obs_filter.listing import list_filters
from obs_stylizer.obs_filter.mapping import FilterMapping, fitted
from tests.fakes import display
from tests.fakes.real_obs import SCENES
from tests.installer.filter_in_obs import (
    KIND,
    SIZE,
    Obs,
    inverted,
    noise,
    obs_with_filter,
    served,
    write_told_script,
)

pytestmark = pytest.mark.obs


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
    expected = f"the obs-stylizer that runs version {VERSION + 1}"
    assert expected in here.real.log()
    here.until(lambda: expected in here.told)


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
def test_an_hdr_source_is_shown_as_sdr_and_that_is_said(here: Obs, link: FilterMapping) -> None:
    clip = here.real.home / "hdr.mp4"
    write_hdr_clip(clip)
    values = {"local_file": str(clip), "looping": True, "hw_decode": False}
    shown = {"inputName": "HDR", "inputKind": "ffmpeg_source", "inputSettings": values}
    here.ask("CreateInput", sceneName=SCENES[0], **shown)
    here.until(lambda: here.shot("HDR").size > 4 and here.shot("HDR").any())
    alone = here.shot("HDR")
    one = {"sourceName": "HDR", "filterName": "bright", "filterKind": KIND}
    here.ask("CreateSourceFilter", **one, filterSettings={})
    here.until(lambda: "bright: The source is HDR" in here.real.log())
    here.until(lambda: "shown as SDR, tone-mapped" in here.told)
    filtered = here.shot("HDR")
    # OBS draws it into SDR in any case here: brighter stays brighter, and nothing is washed out.
    assert np.abs(filtered.astype(int) - alone).max() <= 2
    here.remove("HDR")


def write_hdr_clip(path: Path) -> None:
    """A ramp to 10 000 nits: H.264 of 10 bits, BT.2020, PQ."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, 16, 9
        for number in range(60):
            frame = av.VideoFrame(320, 180, "yuv420p10le")
            for plane, width, low, high in zip(
                frame.planes, (320, 160, 160), (64, 512, 512), (940, 512, 512), strict=True
            ):
                rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
                rows[:, :width] = np.linspace(low, high, width)
                plane.update(rows.tobytes())
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


# Before OBS starts, as root: a daemon's sign in a file system that is full, or a stranger's folder.
FULL = (
    'mount -t tmpfs -o size=1m none "$XDG_RUNTIME_DIR" && mkdir "$XDG_RUNTIME_DIR/obs-stylizer"'
    f' && echo "obs-stylizer {VERSION} 640x360 1" > "$XDG_RUNTIME_DIR/obs-stylizer/daemon"'
    ' && exec "$@"'
)
FOREIGN = (
    'mkdir -m 0777 "$XDG_RUNTIME_DIR/obs-stylizer"'
    f' && echo "obs-stylizer {VERSION} 640x360 1" > "$XDG_RUNTIME_DIR/obs-stylizer/daemon"'
    ' && chown -R 65534 "$HOME" && chown 0 "$XDG_RUNTIME_DIR/obs-stylizer"'
    ' && exec setpriv --reuid 65534 --clear-groups "$@"'
)


@pytest.mark.slow
@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() != 0, reason="only root may mount and give away"
)
@pytest.mark.parametrize(
    ("prepare", "said"), [(FULL, "it is full"), (FOREIGN, "or is another user's")]
)
def test_a_folder_that_takes_no_file_is_said_and_the_source_stays_plain(
    screen: display.Display, prepare: str, said: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)  # that a user other than ours may enter, too
        folder.chmod(0o777)
        script = write_told_script(folder)
        prefix = ("unshare", "-m", "sh", "-c", prepare, "sh")
        with obs_with_filter(screen, folder / "home", prefix, script) as obs:
            plain = noise(6)
            obs.show("Picture", plain)
            obs.until(lambda: said in obs.real.log(), 15)
            obs.until(lambda: said in obs.told and "shown as it is" in obs.told)
            obs.waits_for("Picture", plain)
