"""Foreign models of every convention, found out, made native, and compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.adopt import adopt
from obs_stylizer.inference.adoption_plan import (
    AdoptionPlan,
    Confidence,
    Overrides,
    plan_adoption,
)
from obs_stylizer.inference.convention import ChannelOrder, Layout, ValueRange
from obs_stylizer.inference.generator import open_generator
from obs_stylizer.inference.native_model import load_native_model
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from tests.fakes import models
from tests.fakes.foreign_models import Foreign, expected, write_foreign_model

V, L, C = ValueRange, Layout, ChannelOrder
RANGES = [
    (V.UNIT, V.UNIT),
    (V.SIGNED, V.SIGNED),
    (V.BYTE, V.BYTE),
    (V.CAFFE, V.BYTE),
    (V.CAFFE, V.CAFFE),
    (V.IMAGENET, V.UNIT),
    (V.IMAGENET, V.IMAGENET),
    (V.SIGNED, V.UNIT),
    (V.UNIT, V.BYTE),
]


def confidence(plan: AdoptionPlan, name: str) -> Confidence:
    return next(f.confidence for f in plan.findings if f.name == name)


def check_native(path: Path, frame: Pixels, tolerance: int = 1) -> None:
    """The native model must do to a frame what the function does, on both runtimes."""
    size = FrameSize(frame.shape[1], frame.shape[0])
    for provider in (Provider.CPU, Provider.OPENVINO):
        options = SessionOptions(provider=provider, precision=Precision.F32)
        with open_generator(path, size, options) as generator:
            difference = np.abs(generator.run(frame).astype(int) - expected(frame))
        assert difference.max() <= tolerance


@pytest.mark.parametrize(("given", "made"), RANGES)
@pytest.mark.parametrize(("layout", "channels"), [(L.NCHW, C.BGR), (L.NHWC, C.RGB)])
def test_a_trained_models_convention_is_found_and_kept(
    tmp_path: Path, frame: Pixels, layout: L, channels: C, given: V, made: V
) -> None:
    path = write_foreign_model(tmp_path / "f.onnx", Foreign(layout, given, made, channels))
    plan = plan_adoption(path)
    found = plan.convention
    assert (found.input.layout, found.output.layout) == (layout, layout)
    assert (found.input.value_range, found.output.value_range) == (given, made)
    assert found.channels is channels
    assert found.fixed_size is None
    assert found.multiple == 1
    # ImageNet's numbers are so near to signed ones that a person must look.
    assert given is V.IMAGENET or not plan.doubtful
    adopt(plan, tmp_path / "native.onnx")
    check_native(tmp_path / "native.onnx", frame)


@pytest.mark.parametrize("given", [V.SIGNED, V.BYTE])
def test_scaling_in_the_graph_makes_it_certain(tmp_path: Path, given: V) -> None:
    kind = Foreign(input_range=given, output_range=given, hidden=False)
    plan = plan_adoption(write_foreign_model(tmp_path / "f.onnx", kind))
    assert plan.convention.input.value_range is given
    assert confidence(plan, "range in") is Confidence.CERTAIN


def test_a_tanh_at_the_end_makes_it_certain(tmp_path: Path, frame: Pixels) -> None:
    kind = Foreign(input_range=V.SIGNED, output_range=V.SIGNED, tanh=True)
    plan = plan_adoption(write_foreign_model(tmp_path / "f.onnx", kind))
    assert plan.convention.output.value_range is V.SIGNED
    assert confidence(plan, "range out") is Confidence.CERTAIN
    adopt(plan, tmp_path / "native.onnx")
    check_native(tmp_path / "native.onnx", frame)


def test_bytes_in_the_graph_need_no_probing(tmp_path: Path, frame: Pixels) -> None:
    kind = Foreign(L.NHWC, V.BYTE, V.BYTE, dtype="uint8")
    plan = plan_adoption(write_foreign_model(tmp_path / "f.onnx", kind))
    assert confidence(plan, "range in") is Confidence.CERTAIN
    assert confidence(plan, "range out") is Confidence.CERTAIN
    adopt(plan, tmp_path / "native.onnx")
    # The foreign model itself cuts off what is behind the point.
    check_native(tmp_path / "native.onnx", frame, tolerance=2)


@pytest.mark.parametrize("value_range", [V.UNIT, V.SIGNED])
def test_half_precision_is_kept(tmp_path: Path, frame: Pixels, value_range: V) -> None:
    kind = Foreign(input_range=value_range, output_range=value_range, dtype="float16")
    plan = plan_adoption(write_foreign_model(tmp_path / "f.onnx", kind))
    assert plan.convention.input.dtype == "float16"
    adopt(plan, tmp_path / "native.onnx")
    check_native(tmp_path / "native.onnx", frame, tolerance=3)


@pytest.mark.parametrize("multiple", [2, 4, 8, 16])
def test_the_multiple_is_found_by_trying(tmp_path: Path, multiple: int) -> None:
    path = write_foreign_model(tmp_path / "f.onnx", Foreign(multiple=multiple))
    spec = adopt(plan_adoption(path), tmp_path / "native.onnx")
    assert spec.size_multiple == multiple
    with pytest.raises(ModelError, match=f"no multiple of {multiple}"):
        load_native_model(tmp_path / "native.onnx").check_size(FrameSize(3 * multiple + 1, 48))


@pytest.mark.parametrize("layout", L)
def test_a_fixed_size_is_scaled_to_and_back(tmp_path: Path, frame: Pixels, layout: Layout) -> None:
    kind = Foreign(layout, size=(48, 64), batch="n")
    plan = plan_adoption(write_foreign_model(tmp_path / "f.onnx", kind))
    assert plan.convention.fixed_size == FrameSize(64, 48)
    adopt(plan, tmp_path / "native.onnx")
    check_native(tmp_path / "native.onnx", frame)
    # At twice the size, flat areas of the same colour stay what they are.
    large = np.repeat(np.repeat(np.full((3, 4, 3), 90, np.uint8), 32, 0), 32, 1)
    large[:48] = 200
    size = FrameSize(large.shape[1], large.shape[0])
    with open_generator(
        tmp_path / "native.onnx", size, SessionOptions(provider=Provider.CPU)
    ) as generator:
        stylized = generator.run(large)
    away = np.abs(stylized.astype(int) - expected(large)).max(axis=(1, 2))
    assert away[:44].max() <= 1
    assert away[52:].max() <= 1


def test_a_picture_that_comes_out_larger_is_scaled_back(tmp_path: Path, frame: Pixels) -> None:
    plan = plan_adoption(write_foreign_model(tmp_path / "f.onnx", Foreign(scale=2)))
    assert plan.size.scale == 2
    adopt(plan, tmp_path / "native.onnx")
    check_native(tmp_path / "native.onnx", frame)


@pytest.mark.parametrize("opset", [9, 11, 13, 18, 20])
def test_old_and_new_operators_are_brought_together(
    tmp_path: Path, frame: Pixels, opset: int
) -> None:
    path = write_foreign_model(tmp_path / "f.onnx", Foreign(opset=opset))
    adopt(plan_adoption(path), tmp_path / "native.onnx")
    check_native(tmp_path / "native.onnx", frame)
    made = load_native_model(tmp_path / "native.onnx").opset
    assert made == (17 if opset < 13 else opset)


def test_other_outputs_are_left_out(tmp_path: Path, frame: Pixels) -> None:
    path = write_foreign_model(tmp_path / "f.onnx", Foreign(second_output=True))
    plan = plan_adoption(path)
    assert plan.model.other_outputs == ["score"]
    adopt(plan, tmp_path / "native.onnx")
    check_native(tmp_path / "native.onnx", frame)
    nodes = {node.op_type for node in onnx.load(tmp_path / "native.onnx").graph.node}
    assert "ReduceMean" not in nodes


def test_weights_in_another_file_come_into_the_one(tmp_path: Path, frame: Pixels) -> None:
    path = write_foreign_model(tmp_path / "f.onnx", Foreign())
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    adopt(plan_adoption(path), tmp_path / "native" / "native.onnx")
    (tmp_path / "w.bin").unlink()
    check_native(tmp_path / "native" / "native.onnx", frame)
    assert [p.name for p in (tmp_path / "native").iterdir()] == ["native.onnx"]


def test_what_the_user_knows_goes_before_what_is_found(tmp_path: Path) -> None:
    path = write_foreign_model(tmp_path / "f.onnx", Foreign())
    overrides = Overrides(L.NCHW, V.SIGNED, V.BYTE, C.BGR, 32)
    plan = plan_adoption(path, overrides)
    found = plan.convention
    assert found.input.layout is L.NCHW
    assert (found.input.value_range, found.output.value_range) == (V.SIGNED, V.BYTE)
    assert found.channels is C.BGR
    assert found.multiple == 32
    assert {f.confidence for f in plan.findings} == {Confidence.GIVEN}
    spec = adopt(plan, tmp_path / "native.onnx")
    assert spec.size_multiple == 32


def test_a_wrong_layout_is_refused(tmp_path: Path) -> None:
    path = write_foreign_model(tmp_path / "f.onnx", Foreign(L.NHWC))
    with pytest.raises(ModelError, match="cannot be nchw"):
        plan_adoption(path, Overrides(layout=L.NCHW))


def test_undeclared_channels_are_found_by_running(tmp_path: Path, frame: Pixels) -> None:
    path = write_foreign_model(tmp_path / "f.onnx", Foreign(L.NHWC))
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        for number, dim in enumerate(value.type.tensor_type.shape.dim):
            dim.dim_param = f"{value.name}_{number}"
    onnx.save(model, path)
    plan = plan_adoption(path)
    assert plan.convention.input.layout is L.NHWC
    assert confidence(plan, "layout") is Confidence.LIKELY
    adopt(plan, tmp_path / "native.onnx")
    check_native(tmp_path / "native.onnx", frame)


def test_a_model_that_treats_all_colours_alike_is_only_a_guess(tmp_path: Path) -> None:
    graph = models.Graph()
    graph.add("Clip", "x", graph.constant(0.0), graph.constant(1.0), output="y")
    sides = [1, 3, "h", "w"]
    path = models.save_graph(
        tmp_path / "clip.onnx",
        graph,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, sides)],
    )
    plan = plan_adoption(path)
    assert plan.convention.channels is C.RGB
    assert [f.name for f in plan.doubtful] == ["channels"]


def test_what_was_written_says_what_it_is(tmp_path: Path) -> None:
    path = write_foreign_model(tmp_path / "foreign.onnx", Foreign())
    spec = adopt(
        plan_adoption(path),
        tmp_path / "my-style.onnx",
        title="My style",
        licence="MIT",
        author="Somebody",
    )
    stored = load_native_model(tmp_path / "my-style.onnx").spec
    assert stored == spec
    assert (spec.name, spec.title, spec.licence) == ("my-style", "My style", "MIT")
    assert (spec.author, spec.adopted_from) == ("Somebody", "foreign.onnx")


def _no_picture(folder: Path) -> Path:
    graph = models.Graph()
    graph.add("Identity", "x", output="y")
    info = helper.make_tensor_value_info
    return models.save_graph(
        folder / "a.onnx",
        graph,
        [info("x", TensorProto.FLOAT, [1, 16])],
        [info("y", TensorProto.FLOAT, [1, 16])],
    )


def _classifier(folder: Path) -> Path:
    graph = models.Graph()
    graph.add("ReduceMean", "x", output="y", axes=[2, 3], keepdims=0)
    info = helper.make_tensor_value_info
    return models.save_graph(
        folder / "a.onnx",
        graph,
        [info("x", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [info("y", TensorProto.FLOAT, [1, 3])],
    )


def _grey(folder: Path) -> Path:
    graph = models.Graph()
    graph.add("Identity", "x", output="y")
    sides = [1, 1, "h", "w"]
    info = helper.make_tensor_value_info
    return models.save_graph(
        folder / "a.onnx",
        graph,
        [info("x", TensorProto.FLOAT, sides)],
        [info("y", TensorProto.FLOAT, sides)],
    )


def _two_inputs(folder: Path) -> Path:
    graph = models.Graph()
    graph.add("Add", "content", "style", output="y")
    sides = [1, 3, "h", "w"]
    info = helper.make_tensor_value_info
    names = ("content", "style")
    return models.save_graph(
        folder / "a.onnx",
        graph,
        [info(name, TensorProto.FLOAT, sides) for name in names],
        [info("y", TensorProto.FLOAT, sides)],
    )


def _two_pictures(folder: Path) -> Path:
    graph = models.Graph()
    graph.add("Identity", "x", output="one")
    graph.add("Neg", "x", output="two")
    sides = [1, 3, "h", "w"]
    info = helper.make_tensor_value_info
    return models.save_graph(
        folder / "a.onnx",
        graph,
        [info("x", TensorProto.FLOAT, sides)],
        [info(name, TensorProto.FLOAT, sides) for name in ("one", "two")],
    )


def _native(folder: Path) -> Path:
    return models.write_identity_model(folder / "a.onnx")


def _nan(folder: Path) -> Path:
    return write_foreign_model(folder / "a.onnx", Foreign(not_a_number=True))


def _missing(folder: Path) -> Path:
    return folder / "a.onnx"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_no_picture, "has 2 dimensions (1, 16) where a picture has 3"),
        (_classifier, "“y” is no picture"),
        (_grey, "has no three colours"),
        (_two_inputs, "its inputs are content (float32: 1, 3, h, w), style"),
        (_two_pictures, "2 of its outputs could be the picture: one, two"),
        (_native, "is a native generator already"),
        (_nan, "gives NaN or infinity in “output”"),
        (_missing, "there is no model file"),
    ],
)
def test_what_cannot_be_adopted_is_refused_in_words(
    tmp_path: Path, make: Callable[[Path], Path], says: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(ModelError) as caught:
        plan_adoption(path)
    assert says in caught.value.message
    assert "a.onnx" in caught.value.message


def test_one_of_two_pictures_can_be_named(tmp_path: Path) -> None:
    path = _two_pictures(tmp_path)
    assert plan_adoption(path, output_name="one").model.output.name == "one"
    with pytest.raises(ModelError, match="it has one, two"):
        plan_adoption(path, output_name="three")


@pytest.mark.parametrize(
    ("name", "says"),
    [("native.bin", "end in .onnx"), ("f.onnx", "itself"), ("there.onnx", "exists already")],
)
def test_nothing_is_overwritten_by_mistake(tmp_path: Path, name: str, says: str) -> None:
    path = write_foreign_model(tmp_path / "f.onnx", Foreign())
    (tmp_path / "there.onnx").write_text("something dear", "utf-8")
    before = path.read_bytes()
    with pytest.raises(ModelError) as caught:
        adopt(plan_adoption(path), tmp_path / name)
    assert says in str(caught.value)
    assert path.read_bytes() == before
    assert (tmp_path / "there.onnx").read_text("utf-8") == "something dear"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = write_foreign_model(tmp_path / "f.onnx", Foreign())
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="cannot be written"):
        adopt(plan_adoption(path), tmp_path / "file" / "native.onnx")


def test_a_native_model_that_differs_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from obs_stylizer.inference import adopt as module

    path = write_foreign_model(tmp_path / "f.onnx", Foreign())
    plan = plan_adoption(path)
    by_hand = module._run_by_hand
    monkeypatch.setattr(module, "_run_by_hand", lambda *args: by_hand(*args) // 2)
    with pytest.raises(ModelError, match="differs from the foreign one by"):
        adopt(plan, tmp_path / "native.onnx")
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".onnx"] == ["f.onnx"]
