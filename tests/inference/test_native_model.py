from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from obs_stylizer.errors import ModelError, StylizerError, UsageError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference import locate
from obs_stylizer.inference.model_spec import METADATA_KEY, ModelSpec
from obs_stylizer.inference.native_model import MAX_BYTES, load_native_model
from obs_stylizer.inference.session import Precision
from tests.fakes import models
from tests.fakes.foreign_models import Foreign, write_foreign_model


def test_a_native_model_is_described(tmp_path: Path) -> None:
    model = load_native_model(models.write_tint_model(tmp_path / "tint.onnx", ("red", "blue")))
    assert model.spec.name == "tint"
    assert model.spec.styles == ("red", "blue")
    assert (model.style_input, model.style_length) == ("style", 2)
    assert not model.has_strength
    assert model.free_dimensions == {"height": "height", "width": "width"}
    assert model.opset == models.OPSET
    assert len(model.sha256) == 64


def test_a_strength_input_is_seen(tmp_path: Path) -> None:
    path = models.write_invert_model(tmp_path / "invert.onnx", strength=True)
    assert load_native_model(path).has_strength


def test_a_variant_is_the_file_beside_it(tmp_path: Path) -> None:
    model = load_native_model(models.write_identity_model(tmp_path / "a.onnx"))
    assert model.variant(Precision.INT8) is None
    beside = models.write_identity_model(tmp_path / "a.int8.onnx")
    assert model.variant(Precision.INT8) == beside.resolve()


def _missing(folder: Path) -> Path:
    return folder / "nowhere.onnx"


def _folder(folder: Path) -> Path:
    return folder


def _empty(folder: Path) -> Path:
    path = folder / "empty.onnx"
    path.touch()
    return path


def _too_large(folder: Path) -> Path:
    path = folder / "large.onnx"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # a hole, which takes no room
    return path


def _truncated(folder: Path) -> Path:
    whole = models.write_convolutional_model(folder / "whole.onnx").read_bytes()
    path = folder / "cut.onnx"
    path.write_bytes(whole[: len(whole) // 2])
    return path


def _text(folder: Path) -> Path:
    path = folder / "text.onnx"
    path.write_text("this is no model, it only bears the name of one\n" * 20, "utf-8")
    return path


def _pointer(folder: Path) -> Path:
    path = folder / "pointer.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "utf-8")
    return path


def _foreign(folder: Path) -> Path:
    return write_foreign_model(folder / "foreign.onnx", Foreign())


def _damaged_spec(folder: Path) -> Path:
    path = models.write_identity_model(folder / "damaged.onnx")
    model = onnx.load(path)
    next(p for p in model.metadata_props if p.key == METADATA_KEY).value = '{"name": 5'
    onnx.save(model, path)
    return path


def _without_weights_file(folder: Path) -> Path:
    path = models.write_convolutional_model(folder / "parted.onnx")
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (folder / "weights.bin").unlink()
    return path


def _two_outputs(folder: Path) -> Path:
    path = models.write_identity_model(folder / "two.onnx")
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("Identity", ["frame"], ["other"]))
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("other", onnx.TensorProto.UINT8, [1, "h", "w", 3])
    )
    onnx.save(model, path)
    return path


def _unnamed_style(folder: Path) -> Path:
    path = models.write_tint_model(folder / "unnamed.onnx")
    model = onnx.load(path)
    prop = next(p for p in model.metadata_props if p.key == METADATA_KEY)
    prop.value = ModelSpec(name="unnamed", styles=("one", "two", "three")).model_dump_json()
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("make", "says", "remedy"),
    [
        (_missing, "there is no model file", "models list"),
        (_folder, "is a folder", ".onnx"),
        (_empty, "is empty", "again"),
        (_too_large, "2.1 GB is more than", "external data"),
        (_truncated, "truncated or no ONNX", "again"),
        (_text, "truncated or no ONNX", "again"),
        (_pointer, "only a pointer", "git lfs pull"),
        (_foreign, "is no native generator", "models adopt"),
        (_damaged_spec, "description is damaged", "again"),
        (_without_weights_file, "weights file “weights.bin” is missing", "where the model expects"),
        (_two_outputs, "must have the one output “stylized”", "again"),
        (_unnamed_style, "takes 2 weights but 3 styles are named", "again"),
        (
            lambda folder: models.write_wrong_rank_model(folder / "a.onnx"),
            "“frame” must be uint8 (1, height, width, 3), not uint8 (height, width, 3)",
            "again",
        ),
        (
            lambda folder: models.write_float_output_model(folder / "a.onnx"),
            "“stylized” must be uint8 (1, height, width, 3), not float",
            "again",
        ),
        (
            lambda folder: models.write_nan_weights_model(folder / "a.onnx"),
            "hold NaN",
            "again",
        ),
    ],
)
def test_what_is_no_native_model_is_refused_in_words(
    tmp_path: Path, make: Callable[[Path], Path], says: str, remedy: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(ModelError) as caught:
        load_native_model(path)
    assert says in caught.value.message
    assert path.name in caught.value.message
    assert remedy in caught.value.remedy


def test_any_cut_of_a_file_is_refused_and_nothing_else_happens(tmp_path: Path) -> None:
    whole = models.write_tint_model(tmp_path / "whole.onnx").read_bytes()
    path = tmp_path / "cut.onnx"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            load_native_model(path)


@pytest.mark.parametrize(
    ("size", "kind", "says"),
    [
        (FrameSize(100, 96), ModelError, "the nearest is 96x96"),
        (FrameSize(96, 90), ModelError, "the nearest is 96x88"),
        (FrameSize(0, 96), UsageError, "out of range"),
        (FrameSize(96, -8), UsageError, "out of range"),
        (FrameSize(100_000, 100_000), UsageError, "between 1 and 8192"),
    ],
)
def test_a_size_that_does_not_fit_is_refused(
    tmp_path: Path, size: FrameSize, kind: type[StylizerError], says: str
) -> None:
    model = load_native_model(models.write_identity_model(tmp_path / "a.onnx", multiple=8))
    with pytest.raises(kind) as caught:
        model.check_size(size)
    assert says in str(caught.value)


def test_a_model_of_fixed_size_names_it(tmp_path: Path) -> None:
    path = models.write_identity_model(tmp_path / "a.onnx")
    proto = onnx.load(path)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[1].dim_value = 48
        value.type.tensor_type.shape.dim[2].dim_value = 64
    onnx.save(proto, path)
    model = load_native_model(path)
    model.check_size(FrameSize(64, 48))
    with pytest.raises(ModelError, match="works at 64x48 only"):
        model.check_size(FrameSize(48, 64))


def test_the_twin_that_a_mac_leaves_is_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locate, "config_folder", lambda: tmp_path)
    models.write_identity_model(tmp_path / "models" / "mine.onnx")
    (tmp_path / "models" / "._mine.onnx").write_bytes(b"\x00\x05\x16\x07")
    assert "mine" in locate.model_files()
    assert "._mine" not in locate.model_files()
