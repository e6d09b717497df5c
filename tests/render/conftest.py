"""A library of small presets, and styles made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.render.cue_presets import Style, find_presets
from obs_stylizer.render.cues import in_order, parse_cue
from tests.fakes.models import write_invert_model, write_tint_model

PRESETS = {
    "plain": "title: Plain\ncrossfade_ms: 400\n",
    "invert": "title: Invert\nmodel: ./invert.onnx\nprocess_size: 64x48\ncrossfade_ms: 400\n",
    "calm": (
        "title: Calm\nmodel: ./tint.onnx\nstyles: {red: 1}\nprocess_size: 64x48\n"
        "coherence: 0.7\ncrossfade_ms: 300\n"
    ),
    "blue": (
        "title: Blue\nmodel: ./tint.onnx\nstyles: {blue: 1}\nprocess_size: 64x48\n"
        "temporal_smoothing: 0.3\ncrossfade_ms: 500\n"
    ),
}

MakeStyle = Callable[..., Style]


@pytest.fixture(scope="session")
def preset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("presets")
    write_invert_model(folder / "invert.onnx")
    write_tint_model(folder / "tint.onnx")
    for name, text in PRESETS.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return folder


@pytest.fixture
def make_style(preset_folder: Path) -> MakeStyle:
    """Returns a style that begins with a preset and goes on with cues."""
    library = PresetLibrary([preset_folder])

    def make(preset: str, *cues: str, strength: float | None = None) -> Style:
        ordered = in_order([parse_cue(text) for text in cues], preset, strength)
        session = SessionOptions(provider=Provider.CPU, precision=Precision.F32)
        return Style(ordered, find_presets(ordered, library), session)

    return make
