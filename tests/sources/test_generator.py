"""A generator as a source: its walk, where it is found, and what is none."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.errors import SourceError, UsageError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference import locate
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.latent_walk import LatentWalk
from obs_stylizer.sources.listing import list_generators
from obs_stylizer.sources.open import make_source
from obs_stylizer.sources.spec import SourceKind, SourceSpec
from tests.fakes.latent_models import write_latent_model
from tests.fakes.models import write_tint_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models in the place of the bundled one, with clouds and a style in it."""
    monkeypatch.setattr(locate, "model_folders", lambda: (tmp_path, tmp_path / "own"))
    write_latent_model(tmp_path / "clouds.onnx")
    write_tint_model(tmp_path / "tint.onnx")
    return tmp_path


def frames_of(text: str, count: int, fps: float = 30) -> list[Pixels]:
    options = SourceOptions(fps=fps, paced=False, clock=ManualClock())
    frames = []
    with make_source(SourceSpec.parse(text), options) as source:
        source.open()
        for _ in range(count):
            frame = source.read(0)
            assert frame is not None
            frames.append(frame.pixels.copy())
    return frames


def test_every_place_of_the_walk_is_as_likely_as_a_random_point() -> None:
    walk = LatentWalk(400, seed=1)
    for place in np.linspace(0, 20, 97):
        latent = walk.at(float(place))
        assert latent.dtype == np.float32
        assert float(latent.mean()) == pytest.approx(0, abs=0.2)
        assert float(latent.std()) == pytest.approx(1, abs=0.15)


def test_neither_the_walk_nor_its_direction_jumps() -> None:
    walk, step = LatentWalk(200, seed=2), 1e-3
    places = np.arange(0.9, 3.1, step)
    path = np.stack([walk.at(float(place)) for place in places]).astype(np.float64)
    speed = np.diff(path, axis=0) / step
    pace = np.sqrt((speed**2).mean(1))
    assert 0.5 < pace.min() < pace.max() < 2.5
    turns = np.sqrt((np.diff(speed, axis=0) ** 2).mean(1))
    assert turns.max() < 0.2 * pace.mean()


def test_the_walk_is_the_same_for_a_seed_and_has_no_end() -> None:
    first, again, other = LatentWalk(8, 3), LatentWalk(8, 3), LatentWalk(8, 4)
    again.at(50.5)
    assert np.array_equal(first.at(7.25), again.at(7.25))
    assert not np.allclose(first.at(7.25), other.at(7.25))
    far = first.at(1e9 + 0.5)
    assert np.isfinite(far).all()
    assert not np.allclose(far, first.at(0.5))


def test_the_picture_changes_at_the_speed_that_was_asked_for(folder: Path) -> None:
    slow = frames_of("generator:clouds?seconds=8", 31)
    quick = frames_of("generator:clouds?seconds=2", 31)
    # A quarter of a second of the one is a second of the other.
    for number in (1, 3, 7):
        assert np.array_equal(quick[number], slow[4 * number])
    steps = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(quick)]
    assert 0 < max(steps) < 6


def test_every_run_shows_the_same(folder: Path) -> None:
    first, again = (frames_of("generator:clouds?seed=5", 3) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, frames_of("generator:clouds", 3))


def test_a_path_instead_of_a_name(tmp_path: Path) -> None:
    path = write_latent_model(tmp_path / "of mine" / "sky.onnx", size=32)
    source = make_source(SourceSpec.parse(f"generator:{path}"), SourceOptions(clock=ManualClock()))
    with source:
        info = source.open()
    assert (info.name, info.frame_size, info.fps) == ("Tiny clouds", FrameSize(32, 32), 30)
    assert "every 4 s" in info.detail


def test_those_that_there_are_and_no_styles(folder: Path) -> None:
    (folder / "broken.onnx").write_bytes(b"no model")
    found = list_generators()
    assert [(entry.name, entry.title) for entry in found] == [("clouds", "Tiny clouds")]
    (folder / "clouds.onnx").unlink()
    nothing = list_generators()
    assert nothing == []
    assert "makes pictures from noise" in nothing.reason


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sky", r"no model “sky” \(there are: clouds\)"),
        ("sky.onnx", r"no model file sky\.onnx \(there are: clouds\)"),
        ("tint", r"tint\.onnx turns pictures into pictures .*in a preset"),
        ("broken", r"broken\.onnx is truncated or no ONNX file"),
        ("damaged", r"damaged\.onnx: its description is damaged"),
        ("other", r"other\.onnx: must take only “latent”, float32 \(1, 7\)"),
        ("plain", r"plain\.onnx is no generator of pictures from noise of ours .*generate"),
    ],
)
def test_what_is_none_is_refused_with_a_reason(folder: Path, name: str, words: str) -> None:
    import onnx

    (folder / "broken.onnx").write_bytes(b"no model")
    write_latent_model(folder / "damaged.onnx", described="{}")
    write_latent_model(folder / "other.onnx", described='{"name": "o", "latent": 7, "size": 16}')
    plain = onnx.load(folder / "clouds.onnx")
    del plain.metadata_props[:]
    onnx.save(plain, folder / "plain.onnx")
    source = make_source(SourceSpec.parse(f"generator:{name}"), SourceOptions())
    with pytest.raises(SourceError, match=words):
        source.open()


def test_how_it_is_written() -> None:
    spec = SourceSpec.parse("generator:living-paint?seed=3&seconds=2.5")
    assert spec == SourceSpec(SourceKind.GENERATOR, "living-paint", seed=3, seconds=2.5)
    assert str(spec) == "generator:living-paint?seed=3&seconds=2.5"
    assert str(SourceSpec.parse("generator:living-paint")) == "generator:living-paint"


@pytest.mark.parametrize(
    "text",
    ["generator", "generator:", "generator:a?seed=-1", "generator:a?seconds=0", "generator:a?x=1"],
)
def test_how_it_is_not_written(text: str) -> None:
    with pytest.raises(UsageError, match="generator"):
        SourceSpec.parse(text)
