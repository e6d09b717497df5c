"""The installer's modules, and a real OBS with our filter script for the tests of that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from obs_stylizer.obs_filter.listing import Sign
from obs_stylizer.obs_filter.mapping import FilterMapping
from tests.fakes import display, real_obs
from tests.installer.filter_in_obs import (
    SIZE,
    Obs,
    found_filter,
    noise,
    obs_with_filter,
    write_told_script,
)

# The installer is no package: Python finds its modules beside the started script.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "installer"))


@pytest.fixture(scope="module")
def screen() -> Iterator[display.Display]:
    absent = real_obs.missing()
    if absent:
        pytest.skip(f"{absent} not installed (apt install obs-studio xvfb)")
    with display.start(1280, 800) as started:
        yield started


@pytest.fixture(scope="module")
def obs(screen: display.Display, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Obs]:
    folder = tmp_path_factory.mktemp("obs")
    with obs_with_filter(screen, folder / "home", script=write_told_script(folder)) as started:
        yield started


@pytest.fixture
def here(obs: Obs, monkeypatch: pytest.MonkeyPatch) -> Obs:
    """OBS, whose filters this process sees."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(obs.run_folder))
    return obs


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
