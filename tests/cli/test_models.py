from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from obs_stylizer.cli import models as command
from obs_stylizer.cli.app import run_command_line
from obs_stylizer.errors import ModelError
from obs_stylizer.inference import locate
from obs_stylizer.inference.native_model import load_native_model
from tests.fakes.foreign_models import Foreign, write_foreign_model
from tests.fakes.latent_models import write_latent_model
from tests.fakes.models import write_identity_model, write_tint_model


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One bundled model of two styles with a variant, and the user's: one that makes pictures from
    noise, one that is broken, one more.
    """
    bundled, own = tmp_path / "bundled", tmp_path / "own"
    write_tint_model(bundled / "tint.onnx", ("red", "blue"))
    write_identity_model(bundled / "tint.int8.onnx")
    write_identity_model(own / "mine.onnx", multiple=8)
    write_latent_model(own / "clouds.onnx")
    (own / "broken.onnx").write_bytes(b"")
    monkeypatch.setattr(locate, "model_folders", lambda: (bundled, own))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def test_models_are_listed_with_what_matters(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["models", "list"]) == 0
    out = capsys.readouterr().out
    for word in ("tint", "red, blue", "f32, int8", "CC0-1.0", "bundled", "mine", "yours"):
        assert word in out
    assert "source: generator:clouds" in out
    assert out.count("left out: ") == 1
    assert "broken.onnx is empty" in out


def test_the_list_as_json_is_nothing_but_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["models", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    clouds, mine, tint = listed["models"]
    assert (clouds["source"], clouds["spec"]) == ("generator:clouds", None)
    assert clouds["latent"]["title"] == "Tiny clouds"
    assert (mine["source"], mine["latent"]) == ("", None)
    assert (mine["name"], mine["bundled"]) == ("mine", False)
    assert (tint["name"], tint["bundled"], tint["variants"]) == ("tint", True, ["int8"])
    assert tint["spec"]["styles"] == ["red", "blue"]
    assert list(listed["errors"]) == [mine["file"].replace("mine", "broken")]


def test_inspecting_a_native_model_times_it(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["models", "inspect", "mine", "--size", "100x60", "--provider", "cpu"]
    assert run_command_line(arguments) == 0
    out = capsys.readouterr().out
    for word in ("frame: uint8 (1, height, width, 3)", "multiples of 8", "1 Identity", "96x64"):
        assert word in out
    assert run_command_line([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["timing"]["frame_size"] == "96x64"
    assert told["timing"]["runs_on"]["provider"] == "cpu"
    assert told["timing"]["median_ms"] > 0


def test_inspecting_one_of_noise_says_how_to_use_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["models", "inspect", "clouds"]) == 0
    out = capsys.readouterr().out
    assert "makes pictures from noise: use it as --source generator:clouds" in out
    assert "Tiny clouds" in out
    assert "adopt" not in out
    with pytest.raises(ModelError, match=r"clouds\.onnx makes pictures from noise") as caught:
        load_native_model(tmp_path / "own" / "clouds.onnx")
    assert "--source generator:" in caught.value.remedy


def test_inspecting_a_foreign_model_says_how_to_adopt_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_foreign_model(tmp_path / "foreign.onnx", Foreign())
    assert run_command_line(["models", "inspect", str(path)]) == 0
    assert "models adopt" in capsys.readouterr().out
    assert run_command_line(["models", "inspect", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["spec"] is None
    assert told["timing"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["inspect", "tnt"], 1, "did you mean “tint”?"),
        (["inspect", "mine", "--size", "big"], 2, "is no frame size"),
        (["inspect", "mine", "--provider", "cpu", "--device", "7"], 2, "is no adapter of cpu"),
        (["inspect", "mine", "--provider", "coreml"], 1, "macOS only"),
        (["adopt", "nowhere.onnx", "--output", "a.onnx", "--yes"], 1, "no model file"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["models", *arguments]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert says in told.err
    assert told.err.count("\n") == 1


def test_adopting_shows_the_plan_and_writes_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_foreign_model(tmp_path / "foreign.onnx", Foreign())
    output = tmp_path / "new.onnx"
    arguments = ["models", "adopt", str(path), "--output", str(output), "--yes"]
    assert run_command_line([*arguments, "--title", "New", "--licence", "MIT"]) == 0
    out = capsys.readouterr().out
    for word in ("layout", "nchw", "range in", "unit", "channels", "rgb", "multiples of 1"):
        assert word in out
    spec = load_native_model(output).spec
    assert (spec.name, spec.title, spec.licence) == ("new", "New", "MIT")
    assert run_command_line(arguments) == 1, "it exists now"
    assert "--force" in capsys.readouterr().err
    assert run_command_line([*arguments, "--force"]) == 0


def test_adopting_as_json_tells_the_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_foreign_model(tmp_path / "foreign.onnx", Foreign())
    arguments = ["models", "adopt", str(path), "--output", str(tmp_path / "n.onnx"), "--json"]
    arguments += ["--yes", "--range", "signed", "--channels", "bgr", "--multiple", "16"]
    assert run_command_line(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    plan = {finding["name"]: (finding["value"], finding["confidence"]) for finding in told["plan"]}
    assert plan["range in"] == ("signed", "given")
    assert plan["channels"] == ("bgr", "given")
    assert told["spec"]["size_multiple"] == 16


def test_a_second_input_and_a_size_are_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_foreign_model(tmp_path / "foreign.onnx", Foreign())
    model = onnx.load(path)
    extra = onnx.helper.make_tensor_value_info("gain", onnx.TensorProto.FLOAT, [1])
    model.graph.input.append(extra)
    onnx.save(model, path)
    arguments = ["models", "adopt", str(path), "--output", str(tmp_path / "n.onnx"), "--yes"]
    assert run_command_line(arguments) == 1
    assert "--fix gain=1" in capsys.readouterr().err
    assert run_command_line([*arguments, "--fix", "gain=1", "--size", "225x97"]) == 0
    out = capsys.readouterr().out
    assert "Changed: “gain” is held at 1." in out
    assert "225x97 only" in out
    assert run_command_line([*arguments, "--fix", "gain=1", "--size", "large"]) == 2
    assert "--size 640x480" in capsys.readouterr().err


def test_without_a_person_or_consent_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_foreign_model(tmp_path / "foreign.onnx", Foreign())
    output = tmp_path / "new.onnx"
    assert run_command_line(["models", "adopt", str(path), "--output", str(output)]) == 2
    told = capsys.readouterr()
    assert "range in" in told.out
    assert "add --yes" in told.err
    assert not output.exists()


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 1)])
def test_a_person_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bool, code: int
) -> None:
    path = write_foreign_model(tmp_path / "foreign.onnx", Foreign())
    output = tmp_path / "new.onnx"
    asked = []

    def confirm(text: str) -> bool:
        asked.append(text)
        return answer

    monkeypatch.setattr(command, "_is_terminal", lambda: True)
    monkeypatch.setattr(command.typer, "confirm", confirm)
    assert run_command_line(["models", "adopt", str(path), "--output", str(output)]) == code
    assert asked == ["Is that right?"]
    assert output.exists() is answer
