"""The commands, from a recipe to a model file and its report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from obs_stylizer.cli.training import app
from obs_stylizer.errors import StylizerError
from obs_stylizer.inference.model_spec import spec_of

from .conftest import LAYERS, RecipeWriter, scene

pytestmark = pytest.mark.training


def invoke(*words: str | int | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception:
        raise result.exception
    return result.output


def write_clip(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.roll(scene(1), number, 1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.usefixtures("small_frames")
def test_from_a_recipe_to_a_model(
    recipe_of: RecipeWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    # Judged by the recipe's own small features, whatever lies on this machine.
    monkeypatch.delenv("STYLIZER_DATA", raising=False)
    monkeypatch.setattr("obs_stylizer.training.run_evaluation.STYLE_LAYERS", tuple(LAYERS))
    monkeypatch.setattr("obs_stylizer.training.evaluation.CONTENT_LAYER", list(LAYERS)[-1])
    recipe, run = recipe_of(("steps: 12", "steps: 3")), tmp_path / "run"
    planned = invoke("train", recipe, "--run-dir", tmp_path / "none", "--dry-run", "--threads", 1)
    assert "content: 4 pictures to train on, 0 broken, 1 held out" in planned
    assert "an update: 2 samples of 32 pixels" in planned
    assert not (tmp_path / "none").exists()

    assert "finished after 3 updates" in invoke("train", recipe, "--run-dir", run)
    assert "finished after 3 updates" in invoke("resume", run)

    clip = write_clip(tmp_path / "clip.mp4")
    assert "warp_error" in invoke("evaluate", run, "--clip", clip, "--pictures", 1, "--frames", 2)
    assert "within" in invoke("export", run)
    model = run / "tiny.onnx"
    assert spec_of(onnx.load(model), model).quality["style_ratio"] > 0
    assert (run / "tiny.int8.onnx").is_file()

    assert "content_kept" in invoke(
        "evaluate", model, "--content", tmp_path / "content", "--pictures", 1
    )
    assert (run / "tiny-evaluation" / "evaluation.html").is_file()


def test_what_is_missing_is_named(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    for words, message in (
        (("train", tmp_path / "no.yaml", "--run-dir", tmp_path / "run"), "no such file"),
        (("resume", tmp_path / "run"), "is no run directory"),
        (("export", tmp_path / "run"), "is no run directory"),
        (("evaluate", tmp_path / "no.onnx"), "there is no model"),
        (("train", recipe_of(), "--run-dir", tmp_path / "r", "--device", "abacus"), "abacus"),
    ):
        with pytest.raises(StylizerError, match=message):
            invoke(*words)


def test_the_commands_import_no_torch() -> None:
    code = "import sys, obs_stylizer.cli.training; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
def test_two_processes_do_what_one_does(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    import torch

    # Rounding may put a value on the other side of a kink (ReLU, L1) and so turn one weight's
    # step around: with small steps that stays far below what a wrong gradient would do.
    recipe = recipe_of(("steps: 12, batch: 2", "learning_rate: 0.0003, steps: 20, batch: 4"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    script = tmp_path / "start.py"
    script.write_text("from obs_stylizer.cli.training import app\napp()\n", encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    invoke("train", recipe, "--run-dir", tmp_path / "one", "--threads", 1)
    subprocess.run(
        [*torchrun, str(script), "train", str(recipe), "--run-dir", str(tmp_path / "two")],
        check=True,
        timeout=120,
        env=environment,
    )
    states = [
        torch.load(tmp_path / name / "checkpoints" / "latest.pt", weights_only=True)
        for name in ("one", "two")
    ]
    for network in ("generators", "discriminators", "average"):
        one, two = (state[network] for state in states)
        assert max(float((one[key] - two[key]).abs().max()) for key in one) <= 1e-4
