from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.locks import Holder
from obs_stylizer.settings import Settings


@pytest.fixture
def notes() -> Notes:
    return Notes("Area")


@pytest.fixture
def situation(tmp_path: Path) -> Callable[..., Situation]:
    """Makes a situation of settings, and of what is on air."""

    def make(on_air: dict[str, Holder] | None = None, **settings: object) -> Situation:
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        return Situation(
            Settings.model_validate(settings), tmp_path / "config.yaml", None, on_air or {}, scratch
        )

    return make


@pytest.fixture
def by_name() -> Callable[..., dict[str, Finding]]:
    """Makes a dictionary of findings."""
    return lambda findings: {finding.name: finding for finding in findings}
