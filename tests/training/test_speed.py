"""The table of runtimes: what ran is what is said to have run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.openvino_runtime import precisions_of
from obs_stylizer.inference.session import Precision
from obs_stylizer.training.evaluation import StyleFigures, write_report
from obs_stylizer.training.speed import Speed, measure_speed
from tests.fakes.models import write_convolutional_model, write_quantized_variant

pytestmark = pytest.mark.training


def table(model: Path) -> dict[tuple[str, str], Speed]:
    found = measure_speed(model, FrameSize(64, 48))
    return {(entry.runtime, entry.precision): entry for entry in found}


def test_every_runtime_and_precision_is_timed_or_says_why_not(tmp_path: Path) -> None:
    model = write_convolutional_model(tmp_path / "model.onnx")
    alone = table(model)
    assert len(alone) == 6
    for runtime in ("ONNX Runtime", "OpenVINO"):
        assert (alone[runtime, "f32"].milliseconds or 0) > 0
        assert alone[runtime, "int8"].milliseconds is None
        assert "int8" in alone[runtime, "int8"].why
    computes_bf16 = Precision.BF16 in precisions_of("CPU")
    assert (alone["OpenVINO", "bf16"].milliseconds is not None) is computes_bf16
    assert alone["ONNX Runtime", "bf16"].milliseconds is None

    write_quantized_variant(model)
    both = table(model)
    assert both["ONNX Runtime", "int8"].milliseconds
    assert both["OpenVINO", "int8"].milliseconds


def test_the_report_has_the_table(tmp_path: Path) -> None:
    speed = [
        Speed("OpenVINO", "int8", "640x360", 8.0),
        Speed("OpenVINO", "bf16", "640x360", None, "no <bf16> here"),
    ]
    page = write_report(tmp_path, "Title", {"one": StyleFigures({"psnr": 20.0})}, speed)
    text = page.read_text(encoding="utf-8")
    assert "<td>8</td><td>125</td>" in text
    assert "no &lt;bf16&gt; here" in text
    document = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert document["speed"][0] == {
        "runtime": "OpenVINO", "precision": "int8", "frame_size": "640x360", "ms": 8, "fps": 125
    }  # fmt: skip
    assert document["speed"][1]["not_run"] == "no <bf16> here"
