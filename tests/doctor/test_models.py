"""Broken models and presets, and files that are not as they were delivered."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from obs_stylizer.doctor import checksums, models
from obs_stylizer.doctor.checksums import Comparison, compare_bundled
from obs_stylizer.doctor.findings import Finding, Notes, State
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.settings import bundled_folder, config_folder
from tests.fakes.latent_models import write_latent_model
from tests.fakes.models import write_invert_model, write_tint_model


@pytest.fixture
def own() -> Iterator[Path]:
    """The user's folder, empty."""
    folder = config_folder()
    yield folder
    for name in ("models", "presets"):
        shutil.rmtree(folder / name, ignore_errors=True)


def examine(situation: Situation) -> dict[str, Finding]:
    return {finding.name: finding for finding in models.examine(Notes("Models"), situation)}


def test_what_is_bundled_is_whole(situation: Callable[..., Situation]) -> None:
    found = examine(situation())
    assert found["models"].state is State.OK
    assert "paintings" in found["models"].seen
    assert found["presets"].state is State.OK


def test_a_truncated_model_of_the_users(own: Path, situation: Callable[..., Situation]) -> None:
    path = write_invert_model(own / "models" / "mine.onnx")
    path.write_bytes(path.read_bytes()[:-100])
    found = examine(situation())["model mine"]
    assert found.state is State.FAULT
    assert str(path) in found.seen
    assert found.remedy


def test_a_generator_of_pictures_from_noise(own: Path, situation: Callable[..., Situation]) -> None:
    path = write_latent_model(own / "models" / "clouds.onnx")
    found = examine(situation())
    assert "clouds" in found["models"].seen
    assert "model clouds" not in found
    write_latent_model(path, described="{}")
    assert "description is damaged" in examine(situation())["model clouds"].seen


def test_a_broken_variant_is_no_good_model(own: Path, situation: Callable[..., Situation]) -> None:
    write_invert_model(own / "models" / "mine.onnx")
    (own / "models" / "mine.int8.onnx").write_bytes(b"no model")
    assert "mine.int8.onnx" in examine(situation())["model mine"].seen
    (own / "models" / "mine.int8.onnx").unlink()
    (own / "models" / "mine.lite.onnx").write_bytes(b"no model")
    assert "mine.lite.onnx" in examine(situation())["model mine"].seen


def test_a_preset_of_a_style_that_the_generator_has_not(
    own: Path, situation: Callable[..., Situation]
) -> None:
    write_tint_model(own / "models" / "tint.onnx")
    preset = own / "presets" / "odd.yaml"
    preset.parent.mkdir()
    preset.write_text("title: Odd\nmodel: tint\nstyles: {absent: 1}\n")
    found = examine(situation(preset="odd"))
    assert found["preset odd"].state is State.FAULT
    assert "no style “absent”" in found["preset odd"].seen
    assert found["starting preset"].state is State.FAULT


def test_a_preset_of_a_generator_that_is_not_there(
    own: Path, situation: Callable[..., Situation]
) -> None:
    preset = own / "presets" / "lost.yaml"
    preset.parent.mkdir()
    preset.write_text("title: Lost\nmodel: paintigns\n")
    found = examine(situation())["preset lost"]
    assert "no model “paintigns”" in found.seen
    assert "did you mean “paintings”?" in found.remedy


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout with a model and a preset, committed."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for folder in ("onnx", "presets"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a file").write_text(folder)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], check=True)
    return tmp_path


def test_a_checkout_is_compared_with_its_last_commit(repository: Path) -> None:
    assert compare_bundled("no-such-package", repository) == Comparison("the last commit", 2)
    changed, missing = repository / "onnx" / "a file", repository / "presets" / "a file"
    changed.write_text("other")
    missing.unlink()
    told = compare_bundled("no-such-package", repository)
    assert (told.changed, told.missing) == ((changed,), (missing,))


def test_a_copy_without_hashes_says_so(notes: Notes, tmp_path: Path) -> None:
    told = compare_bundled("no-such-package", tmp_path)
    assert told == Comparison()
    (found,) = models._hashes(notes, told, tmp_path)
    assert found.seen.startswith("not compared")


def test_an_installed_package_is_compared_with_its_own_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notes: Notes
) -> None:
    root = tmp_path / "obs_stylizer" / "_bundled"
    info = tmp_path / "fake_stylizer-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-stylizer\nVersion: 1.0\n")
    rows = []
    for name in ("onnx/one.onnx", "onnx/two.onnx", "presets/three.yaml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
        digest = base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode()
        rows.append(f"obs_stylizer/_bundled/{name},sha256={digest.rstrip('=')},9\n")
    (info / "RECORD").write_text("".join([*rows, "\n", "odd\n"]))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert compare_bundled("fake-stylizer", root) == Comparison("the package's own list", 3)
    (root / "onnx" / "one.onnx").write_bytes(b"flipped")
    (root / "onnx" / "two.onnx").unlink()
    told = compare_bundled("fake-stylizer", root)
    assert [path.name for path in told.changed] == ["one.onnx"]
    assert [path.name for path in told.missing] == ["two.onnx"]
    states = {finding.state for finding in models._hashes(notes, told, root)}
    assert states == {State.FAULT}


def test_what_is_bundled_is_compared_with_something() -> None:
    told = compare_bundled("obs-stylizer", bundled_folder("onnx").parent)
    assert set(checksums.FOLDERS) == {"onnx", "presets"}
    assert told.compared_with == "" or told.compared > 5
