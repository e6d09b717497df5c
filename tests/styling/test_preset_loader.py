"""Loading presets: what is told of it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.styling.preset_loader import PresetLoader
from tests.fakes.models import write_identity_model, write_invert_model, write_tint_model

CPU = SessionOptions(provider=Provider.CPU, precision=Precision.F32, threads=1)


def test_another_size_than_asked_for_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_invert_model(tmp_path / "invert.onnx", multiple=8)
    for name, size in (
        ("odd", "68x36"),
        ("again", "68x36"),
        ("other", "100x52"),
        ("fits", "64x32"),
    ):
        text = f"title: A\nmodel: invert.onnx\nprocess_size: {size}\n"
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")
    library = PresetLibrary([tmp_path])
    loader = PresetLoader(FrameSize(128, 72), CPU)
    with caplog.at_level(logging.INFO, "obs_stylizer.styling"):
        for name in ("odd", "odd", "again", "fits", "other", "odd"):
            loader.load(library.get(name))
    loader.close()
    told = [message.partition(" works at ")[2] for message in caplog.messages]
    assert told == ["64x32, the nearest to 68x36", "96x48, the nearest to 100x52"]


def test_the_lite_variant_where_it_is_asked_for_and_usable(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_identity_model(tmp_path / "plain.onnx")
    (tmp_path / "plain.yaml").write_text("title: A\nmodel: plain.onnx\n", "utf-8")
    named = PresetLibrary([tmp_path]).get("plain")
    loader = PresetLoader(FrameSize(64, 36), CPU, FrameSize(64, 36))

    def taken(*, lite: bool) -> str:
        generator = loader.load(named, lite=lite).generator
        assert generator is not None
        return generator.path.name

    assert taken(lite=True) == "plain.onnx"
    lite = write_invert_model(tmp_path / "plain.lite.onnx")
    assert taken(lite=True) == "plain.lite.onnx"
    assert taken(lite=False) == "plain.onnx"
    assert not caplog.messages
    lite.write_bytes(lite.read_bytes()[:-50])
    assert taken(lite=True) == "plain.onnx"
    assert "the lite variant cannot be used" in caplog.messages[-1]
    write_tint_model(lite)
    assert taken(lite=True) == "plain.onnx"
    assert "has other styles than plain.onnx" in caplog.messages[-1]
    loader.close()
