"""Real OBS Studio for the tests that have the mark ``obs``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import display, real_obs
from tests.fakes.control_api import FakeControlApi
from tests.fakes.real_obs import RealObs


@pytest.fixture(scope="session")
def obs_screen() -> Iterator[display.Display]:
    """A screen for OBS's window."""
    absent = real_obs.missing()
    if absent:
        pytest.skip(f"{absent} not installed (apt install obs-studio xvfb)")
    with display.start(1280, 800) as started:
        yield started


@pytest.fixture
def obs(obs_screen: display.Display, tmp_path: Path) -> Iterator[RealObs]:
    """A running OBS of its own."""
    made = RealObs(tmp_path / "obs-home", obs_screen.name)
    made.configure()
    made.start()
    yield made
    made.end()


@pytest.fixture
def presets(tmp_path: Path) -> Path:
    """A folder with three presets."""
    folder = tmp_path / "presets"
    folder.mkdir()
    for name in ("ink", "plain", "wave"):
        text = f"title: The {name}\nstrength: 0.8\ncrossfade_ms: 0\n"
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return folder


@pytest.fixture
def api(presets: Path) -> Iterator[FakeControlApi]:
    """A control API at which “plain” is on air."""
    with FakeControlApi(presets, first="plain") as made:
        yield made
