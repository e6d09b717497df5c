"""Foreign models with manners of their own: each turns a picture of 0..1 into its negative."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from obs_stylizer.errors import ModelError, ProviderError, UsageError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.adopt import adopt
from obs_stylizer.inference.adoption_plan import AdoptionPlan, Overrides, plan_adoption
from obs_stylizer.inference.convention import Layout
from obs_stylizer.inference.fixed_inputs import parse_fixed
from obs_stylizer.inference.generator import open_generator
from obs_stylizer.inference.native_model import load_native_model
from obs_stylizer.inference.session import Precision, Provider, SessionOptions

Node, Info = onnx.NodeProto, onnx.ValueInfoProto
FREE: list[int | str] = [1, 3, "h", "w"]
node = helper.make_node


def info(name: str, shape: list[int | str] | None = None, kind: int = TensorProto.FLOAT) -> Info:
    return helper.make_tensor_value_info(name, kind, FREE if shape is None else shape)


def anything(name: str) -> Info:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def const(name: str, values: object, dtype: type = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def negative(given: str, made: str) -> Node:
    return node("Conv", [given, "w", "b"], [made], kernel_shape=[1, 1])


def weights() -> list[TensorProto]:
    return [const("w", -np.eye(3).reshape(3, 3, 1, 1)), const("b", np.ones(3))]


def save(
    folder: Path,
    nodes: list[Node],
    constants: list[TensorProto] | None = None,
    inputs: list[Info] | None = None,
    outputs: list[Info] | None = None,
    opset: int = 17,
    **more: object,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        inputs or [info("x")],
        outputs or [info("y")],
        [*weights(), *(constants or [])],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, **{"ir_version": 8, **more})
    path = folder / "foreign.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def adopted(path: Path, overrides: Overrides | None = None) -> tuple[AdoptionPlan, Path]:
    plan = plan_adoption(path, overrides)
    native = path.with_name("native.onnx")
    adopt(plan, native)
    return plan, native


def stylized(native: Path, frame: Pixels) -> NDArray[np.int64]:
    size = FrameSize(frame.shape[1], frame.shape[0])
    with open_generator(native, size, SessionOptions(provider=Provider.CPU)) as generator:
        return generator.run(frame).astype(np.int64)


def check_negative(native: Path, frame: Pixels, tolerance: int = 1) -> None:
    assert np.abs(stylized(native, frame) - (255 - frame)).max() <= tolerance


# Dropout and noise


def _dropout(folder: Path, opset: int = 17) -> Path:
    nodes = [negative("x", "n"), node("Dropout", ["n", "ratio", "train"], ["y"])]
    return save(folder, nodes, [const("ratio", 0.3), const("train", True, bool)], opset=opset)


def _old_dropout(folder: Path) -> Path:
    return _dropout(folder, 12)


def _dropout_switched_on_by_a_node(folder: Path) -> Path:
    nodes = [
        negative("x", "n"),
        node("Constant", [], ["train"], value=const("", True, bool)),
        node("Dropout", ["n", "", "train"], ["y", "mask"]),
    ]
    return save(folder, nodes)


def _dropout_in_a_branch(folder: Path) -> Path:
    inner = [negative("x", "n"), node("Dropout", ["n", "ratio", "yes"], ["t"])]
    return save(
        folder,
        [node("If", ["yes"], ["y"], **_branches(inner, "t"))],
        [const("ratio", 0.3), const("yes", True, bool)],
    )


def _normal_noise(folder: Path) -> Path:
    nodes = [
        negative("x", "n"),
        node("RandomNormalLike", ["n"], ["r"], scale=0.2),
        node("Mul", ["r", "half"], ["s"]),
        node("Add", ["n", "s"], ["y"]),
    ]
    return save(folder, nodes, [const("half", 0.5)])


def _uniform_noise(folder: Path) -> Path:
    nodes = [
        negative("x", "n"),
        node("RandomUniform", [], ["r"], shape=[1, 3, 1, 1], low=-0.3, high=0.3),
        node("Add", ["n", "r"], ["y"]),
    ]
    return save(folder, nodes)


def _bernoulli_mask(folder: Path) -> Path:
    nodes = [
        negative("x", "n"),
        node("Shape", ["n"], ["s"]),
        node("Expand", ["kept", "s"], ["p"]),
        node("Bernoulli", ["p"], ["m"]),
        node("Mul", ["n", "m"], ["k"]),
        node("Div", ["k", "kept"], ["y"]),
    ]
    return save(folder, nodes, [const("kept", 0.7)])


def _learning(folder: Path, opset: int = 17, **attributes: object) -> Path:
    """Batch normalization that uses each frame's own statistics, and gives new ones."""
    made = ["y", "mean", "variance"] if opset >= 14 else ["y", "m", "v", "saved_m", "saved_v"]
    nodes = [
        negative("x", "n"),
        node("BatchNormalization", ["n", "one", "zero", "zero", "one"], made, **attributes),
    ]
    constants = [const("one", np.ones(3)), const("zero", np.zeros(3))]
    return save(folder, nodes, constants, outputs=[info("y"), info(made[1], [3])], opset=opset)


def _training_batches(folder: Path) -> Path:
    return _learning(folder, training_mode=1)


def _old_training_batches(folder: Path) -> Path:
    return _learning(folder, 9)


@pytest.mark.parametrize(
    ("make", "operator"),
    [
        (_training_batches, "BatchNormalization"),
        (_old_training_batches, "BatchNormalization"),
        (_dropout, "Dropout"),
        (_old_dropout, "Dropout"),
        (_dropout_switched_on_by_a_node, "Dropout"),
        (_dropout_in_a_branch, "Dropout"),
        (_normal_noise, "RandomNormalLike"),
        (_uniform_noise, "RandomUniform"),
        (_bernoulli_mask, "Bernoulli"),
    ],
)
def test_chance_is_taken_out_and_named(
    tmp_path: Path, frame: Pixels, make: Callable[[Path], Path], operator: str
) -> None:
    plan, native = adopted(make(tmp_path))
    assert [operator in change for change in plan.changes] == [True]
    check_negative(native, frame)
    assert np.array_equal(stylized(native, frame), stylized(native, frame))


def test_dropout_that_is_off_needs_no_word(tmp_path: Path, frame: Pixels) -> None:
    nodes = [negative("x", "n"), node("Dropout", ["n", "ratio", "train"], ["y"])]
    path = save(tmp_path, nodes, [const("ratio", 0.3), const("train", False, bool)])
    plan, native = adopted(path)
    assert plan.changes == []
    check_negative(native, frame)


def test_where_chance_decides_the_model_is_refused(tmp_path: Path) -> None:
    nodes = [
        negative("x", "n"),
        node("RandomUniformLike", ["n"], ["r"]),
        node("Greater", ["r", "ratio"], ["m"]),
        node("Cast", ["m"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["n", "f"], ["y"]),
    ]
    with pytest.raises(ModelError) as caught:
        plan_adoption(save(tmp_path, nodes, [const("ratio", 0.3)]))
    assert "another picture of the same frame each time, by RandomUniformLike" in str(caught.value)
    assert "model.eval()" in caught.value.remedy


# If, Loop and Scan


def _branches(nodes: list[Node], made: str) -> dict[str, onnx.GraphProto]:
    """The same two branches; their inner names are the same ones."""
    return {
        name: helper.make_graph(nodes, name, [], [anything(made)])
        for name in ("then_branch", "else_branch")
    }


def _if(folder: Path, opset: int = 17) -> Path:
    return save(
        folder,
        [node("If", ["yes"], ["y"], **_branches([negative("x", "t")], "t"))],
        [const("yes", True, bool)],
        opset=opset,
    )


def _old_if(folder: Path) -> Path:
    return _if(folder, 11)


def _older_if(folder: Path) -> Path:
    return _if(folder, 9)


def _old_squeeze_inside(folder: Path, opset: int = 11) -> Path:
    """Before version 13 the axes were an attribute; the size is fixed, so that it is scaled."""
    inner = [
        negative("x", "n"),
        node("Unsqueeze", ["n"], ["u"], axes=[0]),
        node("Squeeze", ["u"], ["t"], axes=[0, 1]),
    ]
    return save(
        folder,
        [node("If", ["yes"], ["y"], **_branches(inner, "t"))],
        [const("yes", True, bool)],
        [info("x", [1, 3, 48, 64])],
        [info("y", [3, 48, 64])],
        opset=opset,
    )


def test_inner_graphs_that_cannot_be_converted_are_named(tmp_path: Path) -> None:
    plan = plan_adoption(_old_squeeze_inside(tmp_path, 9))
    with pytest.raises(ModelError) as caught:
        adopt(plan, tmp_path / "native.onnx")
    assert "its operator If has Unsqueeze of version 9 inside" in caught.value.message
    assert str(tmp_path / "foreign.onnx") in caught.value.message
    assert "opset 17" in caught.value.remedy


def _nested_ifs(folder: Path) -> Path:
    inner = node("If", ["yes"], ["t"], **_branches([negative("x", "u")], "u"))
    return save(
        folder,
        [node("If", ["yes"], ["y"], **_branches([inner], "t"))],
        [const("yes", True, bool)],
    )


def _loop(folder: Path) -> Path:
    """Three negatives, one after another; the inner names are those of a native model."""
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            node("Identity", ["frame"], ["native/cast_1"]),
            negative("native/cast_1", "stylized"),
            node("Mul", ["x", "b3"], ["unused"]),
            node("Identity", ["go"], ["on"]),
        ],
        "body",
        [scalar("i", TensorProto.INT64, []), scalar("go", TensorProto.BOOL, []), anything("frame")],
        [scalar("on", TensorProto.BOOL, []), anything("stylized")],
    )
    return save(
        folder,
        [node("Loop", ["trips", "yes", "x"], ["y"], body=body)],
        [const("trips", 3, np.int64), const("yes", True, bool), const("b3", 1.0)],
    )


def _scan(folder: Path) -> Path:
    """Each row of the picture by itself, with weights of the outer graph."""
    body = helper.make_graph(
        [
            node("Sub", ["one", "row"], ["turned"]),
            node("Identity", ["n"], ["m"]),
        ],
        "body",
        [info("n", []), info("row", [1, 3, "height"])],
        [info("m", []), info("turned", [1, 3, "height"])],
    )
    return save(
        folder,
        [
            node(
                "Scan",
                ["zero", "x"],
                ["end", "y"],
                body=body,
                num_scan_inputs=1,
                scan_input_axes=[2],
                scan_output_axes=[2],
            )
        ],
        [const("one", 1.0), const("zero", 0.0)],
    )


@pytest.mark.parametrize(
    "make", [_if, _old_if, _older_if, _old_squeeze_inside, _nested_ifs, _loop, _scan]
)
def test_inner_graphs_go_on_reading_the_outer_one(
    tmp_path: Path, frame: Pixels, make: Callable[[Path], Path]
) -> None:
    check_negative(adopted(make(tmp_path))[1], frame)


@pytest.mark.parametrize(("given", "made"), [("frame", "stylized"), ("stylized", "frame")])
def test_names_of_ours_may_be_names_of_theirs(
    tmp_path: Path, frame: Pixels, given: str, made: str
) -> None:
    nodes = [node("Identity", [given], ["native/mul_1"]), negative("native/mul_1", made)]
    path = save(tmp_path, nodes, inputs=[info(given)], outputs=[info(made)])
    check_negative(adopted(path)[1], frame)


# Versions


@pytest.mark.parametrize("version", [3, 17, 99])
def test_only_the_wrapping_is_of_another_version(
    tmp_path: Path, frame: Pixels, version: int
) -> None:
    path = save(tmp_path, [negative("x", "y")], ir_version=version)
    plan, native = adopted(path)
    assert [f"IR version {version}" in change for change in plan.changes] == [True] * (version > 3)
    check_negative(native, frame)


def test_weights_that_stand_among_the_inputs_are_no_inputs(tmp_path: Path, frame: Pixels) -> None:
    inputs = [info("x"), info("w", [3, 3, 1, 1]), info("b", [3])]
    path = save(tmp_path, [negative("x", "y")], inputs=inputs, ir_version=3, opset=9)
    check_negative(adopted(path)[1], frame)


def _opset_of_tomorrow(folder: Path) -> Path:
    return save(folder, [negative("x", "y")], opset=99)


def _foreign_operator(folder: Path) -> Path:
    path = save(folder, [negative("x", "n"), node("Fancy", ["n"], ["y"], domain="their.own")])
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("their.own", 1))
    onnx.save(model, path)
    return path


def _no_operator(folder: Path) -> Path:
    return save(folder, [negative("x", "n"), node("Fancy", ["n"], ["y"])])


def _operator_on_wrong_numbers(folder: Path) -> Path:
    return save(
        folder,
        [
            node("Cast", ["x"], ["c"], to=TensorProto.INT64),
            node("InstanceNormalization", ["c", "s", "s"], ["i"]),
            node("Cast", ["i"], ["y"], to=TensorProto.FLOAT),
        ],
        [const("s", np.ones(3), np.int64)],
    )


@pytest.mark.parametrize(
    ("make", "says", "remedy"),
    [
        (_opset_of_tomorrow, "its operators are of version 99 of ai.onnx", "pip install --upgrade"),
        (_foreign_operator, "uses the operator Fancy of “their.own”", "operators of ONNX itself"),
        (_no_operator, "uses the operator Fancy", "again"),
        (_operator_on_wrong_numbers, "InstanceNormalization", "opset 17"),
    ],
)
def test_what_the_runtime_does_not_take_is_told_in_words(
    tmp_path: Path, make: Callable[[Path], Path], says: str, remedy: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(ModelError) as caught:
        plan_adoption(path)
    assert caught.value.message.startswith(f"{path}: ")
    assert says in caught.value.message
    assert remedy in caught.value.remedy
    assert ".cc" not in str(caught.value)
    assert "onnxruntime::" not in str(caught.value)


# Several pictures at once


def _fixed_batch(folder: Path) -> Path:
    return save(
        folder,
        [negative("x", "y")],
        inputs=[info("x", [4, 3, 48, 64])],
        outputs=[info("y", [4, 3, 48, 64])],
    )


def _fixed_batch_of_free_size(folder: Path) -> Path:
    shape: list[int | str] = [2, 3, "h", "w"]
    return save(folder, [negative("x", "y")], inputs=[info("x", shape)], outputs=[info("y", shape)])


def _baked_batch(folder: Path) -> Path:
    nodes = [
        negative("x", "n"),
        node("Reshape", ["n", "flat"], ["f"]),
        node("Reshape", ["f", "back"], ["y"]),
    ]
    constants = [const("flat", [4, -1], np.int64), const("back", [4, 3, 48, 64], np.int64)]
    shape: list[int | str] = [4, 3, 48, 64]
    return save(folder, nodes, constants, [info("x", shape)], [info("y", shape)])


def _free_batch_that_comes_out_fixed(folder: Path) -> Path:
    return save(
        folder,
        [negative("x", "y")],
        inputs=[info("x", ["n", 3, 48, 64])],
        outputs=[info("y", [8, 3, 48, 64])],
    )


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_fixed_batch, "exported for 4 pictures at once and takes one"),
        (_fixed_batch_of_free_size, "exported for 2 pictures"),
        (_baked_batch, "each frame is given 4 times, which takes 4 times as long"),
    ],
)
def test_a_fixed_batch_takes_one_frame(
    tmp_path: Path, frame: Pixels, make: Callable[[Path], Path], says: str
) -> None:
    plan, native = adopted(make(tmp_path))
    assert [says in change for change in plan.changes] == [True]
    check_negative(native, frame)


def test_a_batch_declared_for_the_output_alone_is_not_believed(
    tmp_path: Path, frame: Pixels
) -> None:
    check_negative(adopted(_free_batch_that_comes_out_fixed(tmp_path))[1], frame)


# Sizes


def _baked(folder: Path, *nodes: Node, **constants: object) -> Path:
    given = [const(name, values, np.int64) for name, values in constants.items()]
    free: list[int | str] = ["batch", 3, "height", "width"]
    return save(folder, [negative("x", "n"), *nodes], given, [info("x", free)], [info("y", free)])


def _reshaped(folder: Path) -> Path:
    return _baked(
        folder,
        node("Reshape", ["n", "flat"], ["f"]),
        node("Reshape", ["f", "back"], ["y"]),
        flat=[1, 3, 120 * 80],
        back=[1, 3, 80, 120],
    )


def _resized(folder: Path) -> Path:
    """The size of half the picture is baked in."""
    return _baked(
        folder,
        node("AveragePool", ["n"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Resize", ["n", "", "", "half"], ["q"], mode="nearest"),
        node("Sub", ["p", "p"], ["zero"]),
        node("Add", ["q", "zero"], ["small"]),
        node("Resize", ["small", "", "", "full"], ["large"], mode="nearest"),
        node("Sub", ["large", "large"], ["none"]),
        node("Add", ["n", "none"], ["y"]),
        half=[1, 3, 40, 60],
        full=[1, 3, 80, 120],
    )


def _positions(folder: Path) -> Path:
    """A field of the traced size is added."""
    path = _baked(folder, node("Add", ["n", "field"], ["y"]))
    model = onnx.load(path)
    model.graph.initializer.append(const("field", np.zeros((1, 3, 80, 120))))
    onnx.save(model, path)
    return path


def _flattened_only(folder: Path) -> Path:
    """Only the product of the sides stands in the graph, and it could be 120x80 as well."""
    return _baked(
        folder,
        node("Shape", ["n"], ["s"]),
        node("Reshape", ["n", "flat"], ["f"]),
        node("Reshape", ["f", "s"], ["y"]),
        flat=[1, 3, 9600],
    )


@pytest.mark.parametrize("make", [_reshaped, _resized, _positions])
def test_a_size_that_was_baked_in_is_found(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    plan, native = adopted(make(tmp_path))
    assert plan.convention.fixed_size == FrameSize(120, 80)
    frame = np.random.default_rng(3).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    check_negative(native, frame)
    # Any other size is scaled to it and back.
    assert stylized(native, np.full((90, 160, 3), 200, np.uint8)).max() <= 56


def test_a_size_that_cannot_be_found_can_be_named(tmp_path: Path) -> None:
    path = _flattened_only(tmp_path)
    with pytest.raises(ModelError) as caught:
        plan_adoption(path)
    assert "operator Reshape" in caught.value.message
    assert "onnxruntime" not in caught.value.message
    assert "--size 640x480" in caught.value.remedy
    plan, native = adopted(path, Overrides(size=FrameSize(120, 80)))
    assert plan.convention.fixed_size == FrameSize(120, 80)
    check_negative(native, np.random.default_rng(3).integers(0, 256, (80, 120, 3), dtype=np.uint8))


def test_a_wrong_size_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not run at 64x48"):
        plan_adoption(_reshaped(tmp_path), Overrides(size=FrameSize(64, 48)))
    with pytest.raises(ModelError, match="takes only 64x48, not 120x80"):
        plan_adoption(_fixed_batch(tmp_path), Overrides(size=FrameSize(120, 80)))


def test_one_side_that_is_declared_is_kept(tmp_path: Path) -> None:
    shape: list[int | str] = [1, 3, 256, "w"]
    nodes = [negative("x", "n"), node("Add", ["n", "field"], ["y"])]
    field = const("field", np.zeros((1, 3, 1, 320)))
    path = save(tmp_path, nodes, [field], [info("x", shape)], [info("y", shape)])
    assert plan_adoption(path).convention.fixed_size == FrameSize(320, 256)


@pytest.mark.parametrize(("multiple", "padding", "least"), [(8, 128, 136), (4, 300, 304)])
def test_a_least_side_is_found_and_kept(
    tmp_path: Path, multiple: int, padding: int, least: int
) -> None:
    nodes = [
        node("SpaceToDepth", ["x"], ["d"], blocksize=multiple),
        node("DepthToSpace", ["d"], ["u"], blocksize=multiple),
        node("Pad", ["u", "pads"], ["p"], mode="reflect"),
        node("Slice", ["p", "starts", "ends", "axes"], ["c"]),
        negative("c", "y"),
    ]
    constants = [
        const("pads", [0, 0, padding, padding] * 2, np.int64),
        const("starts", [padding] * 2, np.int64),
        const("ends", [-padding] * 2, np.int64),
        const("axes", [2, 3], np.int64),
    ]
    plan, native = adopted(save(tmp_path, nodes, constants))
    assert plan.convention.multiple == multiple
    assert plan.convention.least_side == least
    model = load_native_model(native)
    assert model.nearest_size(FrameSize(640, 360)) == FrameSize(640, 360)
    small = model.nearest_size(FrameSize(160, 90))
    assert min(small.width, small.height) == least
    assert abs(small.width / small.height - 16 / 9) < 0.05
    with pytest.raises(ModelError, match=f"needs sides of {least} pixels or more"):
        model.check_size(FrameSize(multiple * 10, multiple * 10))
    picture = np.random.default_rng(3).integers(0, 256, (least, least, 3), dtype=np.uint8)
    check_negative(native, picture)


# Batchless tensors


@pytest.mark.parametrize("made", [Layout.CHW, Layout.HWC])
@pytest.mark.parametrize("declared", [True, False])
def test_an_output_without_a_batch(
    tmp_path: Path, frame: Pixels, made: Layout, declared: bool
) -> None:
    order = [0, 1, 2] if made is Layout.CHW else [1, 2, 0]
    nodes = [
        negative("x", "n"),
        node("Squeeze", ["n", "zero"], ["s"]),
        node("Transpose", ["s"], ["y"], perm=order),
    ]
    shape: list[int | str] = [3, "h", "w"] if made is Layout.CHW else ["h", "w", 3]
    # Exporters declare four dimensions where three come out.
    output = info("y", shape) if declared else anything("y")
    path = save(tmp_path, nodes, [const("zero", [0], np.int64)], outputs=[output])
    plan, native = adopted(path)
    assert plan.convention.output.layout is made
    check_negative(native, frame)


# Other inputs


def _strength(folder: Path, shape: list[int | str], kind: int = TensorProto.FLOAT) -> Path:
    nodes = [
        negative("x", "n"),
        node("Cast", ["strength"], ["k"], to=TensorProto.FLOAT),
        node("Mul", ["n", "k"], ["y"]),
    ]
    return save(folder, nodes, inputs=[info("strength", shape, kind), info("x")])


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ([], TensorProto.FLOAT),
        ([1], TensorProto.DOUBLE),
        (["n"], TensorProto.FLOAT16),
        ([1, 1, 1, 1], TensorProto.INT64),
        (["batch", 1], TensorProto.BOOL),
        ([1, 1, "h", "w"], TensorProto.FLOAT),
        ([1, 3, "a", "b"], TensorProto.FLOAT),
    ],
)
def test_an_input_beside_the_picture_can_be_fixed(
    tmp_path: Path, frame: Pixels, shape: list[int | str], kind: int
) -> None:
    path = _strength(tmp_path, shape, kind)
    plan, native = adopted(path, Overrides(fixed=parse_fixed(["strength=1"])))
    assert plan.changes == ["“strength” is held at 1"]
    check_negative(native, frame)


def test_each_number_of_an_input_can_be_named(tmp_path: Path, frame: Pixels) -> None:
    path = _strength(tmp_path, [1, 3, 1, 1])
    _, native = adopted(path, Overrides(fixed=parse_fixed(["strength=1,0.5,0"])))
    wanted = (255 - frame.astype(np.float64)) * [1, 0.5, 0]
    assert np.abs(stylized(native, frame) - wanted).max() <= 1


def test_the_remedy_for_a_second_input_works(tmp_path: Path, frame: Pixels) -> None:
    path = _strength(tmp_path, [1])
    with pytest.raises(ModelError) as caught:
        plan_adoption(path)
    assert "its inputs are strength (float32: 1), x (float32: 1, 3, h, w)" in caught.value.message
    assert caught.value.remedy.endswith("--fix strength=1")
    setting = caught.value.remedy.split("--fix ")[1]
    check_negative(adopted(path, Overrides(fixed=parse_fixed([setting])))[1], frame)


def test_a_training_switch_can_be_fixed(tmp_path: Path, frame: Pixels) -> None:
    nodes = [negative("x", "n"), node("Dropout", ["n", "", "training"], ["y"])]
    inputs = [info("x"), info("training", [], TensorProto.BOOL)]
    path = save(tmp_path, nodes, inputs=inputs)
    with pytest.raises(ModelError) as caught:
        plan_adoption(path)
    assert "--fix training=false" in caught.value.remedy
    check_negative(adopted(path, Overrides(fixed=parse_fixed(["training=false"])))[1], frame)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["strong=1"], "has no input “strong” that --fix could hold (it has strength)"),
        (["strength=1,2"], "holds 3 numbers, not 2"),
        (["x=1"], "“strength” is no picture"),
    ],
)
def test_a_wrong_fix_is_told(tmp_path: Path, settings: list[str], says: str) -> None:
    path = _strength(tmp_path, [1, 3, 1, 1])
    fixed = {"strength": (1.0,)} if "strong=1" in settings else {}
    with pytest.raises(ModelError) as caught:
        plan_adoption(path, Overrides(fixed={**fixed, **parse_fixed(settings)}))
    assert says in str(caught.value)


def test_whole_numbers_are_wanted_where_the_input_holds_them(tmp_path: Path) -> None:
    path = _strength(tmp_path, [1], TensorProto.INT32)
    with pytest.raises(ModelError, match=r"takes whole numbers, not 0\.5"):
        plan_adoption(path, Overrides(fixed={"strength": (0.5,)}))


@pytest.mark.parametrize("setting", ["strength", "strength=", "=1", "strength=much", "a=1,,2"])
def test_a_fix_that_cannot_be_read_is_told(setting: str) -> None:
    with pytest.raises(UsageError, match=r"--fix strength=0\.5"):
        parse_fixed([setting])


def test_values_may_be_words_and_names_may_hold_equals() -> None:
    assert parse_fixed(["training=false", "a=b=1, 2"]) == {"training": (0.0,), "a=b": (1.0, 2.0)}
    with pytest.raises(UsageError, match="named twice"):
        parse_fixed(["a=1", "a=2"])


def test_no_error_shows_the_name_of_the_unfinished_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from obs_stylizer.inference import adopt as module

    path = save(tmp_path, [negative("x", "y")])

    def fail(native: Path, picture: Pixels) -> Pixels:
        raise ProviderError(f"{native}: cannot be run: operator Conv")

    monkeypatch.setattr(module, "_run_native", fail)
    with pytest.raises(ModelError) as caught:
        adopt(plan_adoption(path), tmp_path / "native.onnx")
    assert str(path) in caught.value.message
    assert ".adopt-" not in str(caught.value)
    assert caught.value.remedy


def test_openvino_runs_an_inner_graph_too(tmp_path: Path, frame: Pixels) -> None:
    _, native = adopted(_if(tmp_path))
    options = SessionOptions(provider=Provider.OPENVINO, precision=Precision.F32)
    with open_generator(native, FrameSize(frame.shape[1], frame.shape[0]), options) as generator:
        assert np.abs(generator.run(frame).astype(int) - (255 - frame)).max() <= 1
