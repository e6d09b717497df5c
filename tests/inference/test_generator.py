from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.errors import ModelError, UsageError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference import locate
from obs_stylizer.inference.generator import Generator, open_generator
from obs_stylizer.inference.locate import find_model, model_files
from obs_stylizer.inference.native_model import load_native_model
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.settings import bundled_folder
from tests.fakes import models
from tests.inference.conftest import SIZE

CPU = SessionOptions(provider=Provider.CPU)
PAINTINGS = ("great-wave", "starry-night", "scream", "woman-with-hat")


@pytest.fixture
def tint(tmp_path: Path) -> Generator:
    path = models.write_tint_model(tmp_path / "tint.onnx", ("red", "blue", "green"))
    return open_generator(path, SIZE, CPU)


def test_it_tells_what_it_is(tint: Generator, tmp_path: Path) -> None:
    assert tint.spec.styles == ("red", "blue", "green")
    assert tint.frame_size == SIZE
    assert tint.path == (tmp_path / "tint.onnx").resolve()
    assert tint.runs_on.provider is Provider.CPU
    assert not tint.has_strength


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (None, [1, 0, 0]),
        ({}, [1, 0, 0]),
        ({"green": 0.2}, [0, 0, 1]),
        ({"red": 3, "blue": 1}, [0.75, 0.25, 0]),
    ],
)
def test_style_weights_are_brought_to_a_sum_of_one(
    tint: Generator, weights: dict[str, float] | None, expected: list[float]
) -> None:
    vector = tint.style_vector(weights)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, expected)


def test_weights_reach_the_picture(tint: Generator) -> None:
    frame = np.full(SIZE.shape, 100, np.uint8)
    assert tint.run(frame, {"blue": 5})[0, 0].tolist() == [100, 100, 160]
    assert tint.run(frame, {"red": 1, "blue": 1})[0, 0].tolist() == [130, 100, 130]


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"yellow": 1.0}, "it has red, blue, green"),
        ({"red": 0.0}, "at least one weight above zero"),
        ({"red": 2.0, "blue": -1.0}, "none below"),
        ({"red": float("nan")}, "cannot be mixed"),
        ({"red": float("inf")}, "cannot be mixed"),
        (np.ones(2, np.float32), "takes 3 numbers"),
    ],
)
def test_weights_that_mean_nothing_are_refused(
    tint: Generator, weights: dict[str, float], says: str
) -> None:
    with pytest.raises(ModelError) as caught:
        tint.run(np.zeros(SIZE.shape, np.uint8), weights)
    assert says in str(caught.value)


def test_a_generator_of_one_style_needs_no_weights(tmp_path: Path, frame: Pixels) -> None:
    generator = open_generator(models.write_invert_model(tmp_path / "i.onnx"), SIZE, CPU)
    np.testing.assert_array_equal(generator.run(frame), 255 - frame)


def test_strength_is_the_graphs_only_where_it_has_the_input(tmp_path: Path, frame: Pixels) -> None:
    plain = open_generator(models.write_invert_model(tmp_path / "a.onnx"), SIZE, CPU)
    mixing = open_generator(
        models.write_invert_model(tmp_path / "b.onnx", strength=True), SIZE, CPU
    )
    assert (plain.has_strength, mixing.has_strength) == (False, True)
    np.testing.assert_array_equal(plain.run(frame, strength=0.0), 255 - frame)
    np.testing.assert_array_equal(mixing.run(frame, strength=0.0), frame)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((64, 48, 3), np.uint8),
        np.zeros((48, 64), np.uint8),
        np.zeros((48, 64, 4), np.uint8),
        np.zeros((48, 64, 3), np.float32),
    ],
)
def test_a_frame_of_another_kind_is_refused(tint: Generator, wrong: Pixels) -> None:
    with pytest.raises(ModelError, match="was opened for uint8 frames"):
        tint.run(wrong)


def test_warming_up_tells_how_long_a_frame_takes(tint: Generator) -> None:
    assert 0 < tint.warm_up() < 5


def test_not_a_number_inside_is_found_when_warming_up(tmp_path: Path) -> None:
    path = models.write_nan_model(tmp_path / "nan.onnx")
    for provider in (Provider.CPU, Provider.OPENVINO):
        generator = open_generator(path, SIZE, SessionOptions(provider=provider))
        with pytest.raises(ModelError, match="one flat colour") as caught:
            generator.warm_up()
        assert "NaN" in caught.value.remedy


def test_leaving_the_block_closes(tmp_path: Path, frame: Pixels) -> None:
    with open_generator(models.write_invert_model(tmp_path / "i.onnx"), SIZE, CPU) as generator:
        generator.run(frame)
    with pytest.raises(Exception, match="closed"):
        generator.run(frame)


def test_a_loaded_model_can_be_opened_at_several_sizes(tmp_path: Path) -> None:
    model = load_native_model(models.write_invert_model(tmp_path / "i.onnx"))
    for size in (SIZE, FrameSize(32, 32)):
        frame = np.zeros(size.shape, np.uint8)
        assert open_generator(model, size, CPU).run(frame).shape == size.shape


@pytest.mark.parametrize(
    ("size", "kind"), [(FrameSize(60, 48), ModelError), (FrameSize(100_000, 100_000), UsageError)]
)
def test_a_size_that_does_not_fit_is_refused(
    tmp_path: Path, size: FrameSize, kind: type[Exception]
) -> None:
    path = models.write_identity_model(tmp_path / "i.onnx", multiple=8)
    with pytest.raises(kind):
        open_generator(path, size, CPU)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A bundled folder with “wave” and “dots”, and a user's with another “dots”."""
    bundled, own = tmp_path / "bundled", tmp_path / "own"
    for path in (bundled / "wave.onnx", bundled / "wave.int8.onnx", bundled / "dots.onnx"):
        models.write_identity_model(path)
    models.write_invert_model(own / "dots.onnx")
    models.write_identity_model(bundled / "wave.lite.onnx")
    monkeypatch.setattr(locate, "model_folders", lambda: (bundled, own))
    return bundled, own


def test_names_stand_for_bundled_and_own_models(folders: tuple[Path, Path]) -> None:
    bundled, own = folders
    assert model_files() == {"dots": own / "dots.onnx", "wave": bundled / "wave.onnx"}
    assert find_model("wave") == bundled / "wave.onnx"
    assert find_model("dots") == own / "dots.onnx"
    assert find_model("dots.onnx") == own / "dots.onnx"
    assert find_model("wave.lite") == bundled / "wave.lite.onnx"
    with pytest.raises(ModelError, match=r"there is no model “dots\.lite”"):
        find_model("dots.lite")


def test_a_path_goes_before_a_name_and_starts_from_the_preset(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    beside = models.write_identity_model(tmp_path / "presets" / "wave.onnx")
    assert find_model("wave.onnx", beside.parent) == beside
    assert find_model("../presets/wave.onnx", beside.parent).samefile(beside)
    assert find_model(beside) == beside


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wawe", "did you mean “wave”?"),
        ("zzz", "models list"),
        ("no/such.onnx", "there is no model file"),
        ("such.onnx", "there is no model file"),
    ],
)
def test_a_name_that_means_nothing_is_refused(
    folders: tuple[Path, Path], name: str, says: str
) -> None:
    with pytest.raises(ModelError) as caught:
        find_model(name)
    assert says in str(caught.value)


@pytest.fixture(scope="module")
def photo() -> Pixels:
    from obs_stylizer.inference.probing import probe_picture

    return probe_picture(FrameSize(320, 176))


def test_the_bundled_paintings_paint(photo: Pixels) -> None:
    assert find_model("paintings").parent == bundled_folder("onnx")
    size = FrameSize(320, 176)
    with open_generator("paintings", size, SessionOptions(provider=Provider.OPENVINO)) as painter:
        assert set(PAINTINGS) <= set(painter.spec.styles)
        painter.warm_up()
        pictures = {s: painter.run(photo, {s: 1}).astype(int) for s in PAINTINGS}
    for style, picture in pictures.items():
        assert picture.std() > 15, style
        assert np.abs(picture - photo).mean() > 15, style
    for one, other in itertools.pairwise(PAINTINGS):
        assert np.abs(pictures[one] - pictures[other]).mean() > 2, (one, other)


def test_the_bundled_paintings_look_alike_everywhere(photo: Pixels) -> None:
    size = FrameSize(320, 176)
    pictures = {}
    for provider, precision in (
        (Provider.CPU, Precision.F32),
        (Provider.OPENVINO, Precision.F32),
        (Provider.OPENVINO, Precision.INT8),
    ):
        options = SessionOptions(provider=provider, precision=precision)
        with open_generator("paintings", size, options) as painter:
            assert painter.runs_on.precision is precision
            pictures[provider, precision] = painter.run(photo).astype(int)
    exact = pictures[Provider.CPU, Precision.F32]
    assert np.abs(pictures[Provider.OPENVINO, Precision.F32] - exact).mean() < 1
    assert np.abs(pictures[Provider.OPENVINO, Precision.INT8] - exact).mean() < 10
