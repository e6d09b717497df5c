"""Export: the file does what torch does, and says what it is."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.model_spec import spec_of
from obs_stylizer.inference.style_rows import hash_weights, read_rows, style_feed
from obs_stylizer.training.export import (
    Parity,
    check_parity,
    export_run,
    quiet_exporter,
    to_onnx,
    trained_generator,
)
from obs_stylizer.training.export_precision import (
    compare_bfloat16,
    compare_halved,
    halve,
    rounded_to_bfloat16,
)
from obs_stylizer.training.generators import (
    Correction,
    FastGenerator,
    PictureGenerator,
    ResidualGenerator,
    UNetGenerator,
)
from obs_stylizer.training.native import NativeGenerator
from obs_stylizer.training.pictures import fit_frame
from obs_stylizer.training.quantization import compare, quantize
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.trainer import Trainer

from .conftest import RECIPE, make_data, scene

pytestmark = pytest.mark.training

PICTURES = [scene(number, 200, 300) for number in range(3)]


Exported = tuple[RunDirectory, Path, list[Parity]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = make_data(tmp_path_factory.mktemp("exported"))
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(folder=folder), encoding="utf-8")
    run = RunDirectory.create(folder / "run", recipe)
    Trainer(run, torch.device("cpu")).train(until=2)
    output = folder / "models" / "tiny.onnx"
    return run, output, export_run(run, output, PICTURES, {"style_ratio": 0.5})


@pytest.mark.parametrize(
    "generator",
    [
        FastGenerator(8, 1, 2),
        FastGenerator(8, 1, 2, contrast=2.0),
        FastGenerator(8, 1, 2, margin=8),
        FastGenerator(8, 1, 2, detail=True, margin=4),
        FastGenerator(8, 1, 2, detail=True),
        Correction(FastGenerator(8, 1, 2)),
        Correction(FastGenerator(8, 1, 2, normalise=False, detail=True)),
        UNetGenerator(8, 2, 2),
        Correction(UNetGenerator(8, 2, 2, gather=2)),
        ResidualGenerator(8, 1, 2),
    ],
    ids=[
        "fast",
        "contrast",
        "margin",
        "detail-margin",
        "detail",
        "correction",
        "detail-correction",
        "unet",
        "clean",
        "residual",
    ],
)
def test_a_native_generator_is_the_generator_in_bytes(
    generator: PictureGenerator, tmp_path: Path
) -> None:
    generator.eval()
    before = copy.deepcopy(generator.state_dict())
    frame = torch.from_numpy(fit_frame(PICTURES[0], FrameSize(64, 48))[None])
    style = torch.tensor([[0.25, 0.75]])
    native = NativeGenerator(generator)
    with torch.no_grad():
        made = native(frame, style)
        wanted = generator(frame.movedim(-1, 1).float() / 255, style).movedim(1, -1) * 255
    assert made.dtype == torch.uint8
    difference = (made - wanted).abs()
    if isinstance(generator, FastGenerator) and not (generator.joins_pixels or generator.margin):
        # A painting's border is what lies inside of it.
        assert torch.equal(made[:, 4:-4, :2], made[:, 4:-4, 4:6])
        assert torch.equal(made[:, -2:, 4:-4], made[:, -6:-4, 4:-4])
        difference = difference[:, 4:-4, 4:-4]
    assert float(difference.max()) <= 0.51
    assert all(torch.equal(before[name], kept) for name, kept in generator.state_dict().items())

    onnx.save(to_onnx(native), tmp_path / "made.onnx")
    assert check_parity(native, tmp_path / "made.onnx", PICTURES, FrameSize(64, 48)).largest <= 1


def test_the_exported_file_keeps_the_contract(exported: Exported) -> None:
    run, output, parity = exported
    assert all(found.largest <= 2 for found in parity)
    assert sorted(path.name for path in output.parent.iterdir()) == ["tiny.onnx", "tiny.yaml"]

    model = onnx.load(output)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    spec = spec_of(model, output)
    assert spec.styles == ("stripes", "rings")
    assert spec.recipe_hash == run.recipe.digest
    assert spec.quality == {"style_ratio": 0.5}

    session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    inputs = {value.name: (value.type, value.shape) for value in session.get_inputs()}
    assert inputs["frame"] == ("tensor(uint8)", [1, "height", "width", 3])
    rows = read_rows(model, output)
    assert rows is not None
    assert inputs["rows"] == ("tensor(float)", [1, rows.values.shape[1]])
    assert spec.weights_hash == hash_weights(model)
    for height, width in ((16, 16), (120, 160), (200, 72)):
        frame = np.zeros((1, height, width, 3), np.uint8)
        style = style_feed(model, output, [0.5, 0.5])
        made = session.run(["stylized"], {"frame": frame, **style})[0]
        assert made.shape == frame.shape
        assert made.dtype == np.uint8


def test_a_file_that_does_something_else_is_refused(exported: Exported) -> None:
    run, output, _ = exported
    native = trained_generator(run)
    with torch.no_grad():
        native.generator.last.bias.add_(0.5)
    with pytest.raises(TrainingError, match="differ by"):
        check_parity(native, output, PICTURES, FrameSize(64, 64))


def test_the_int8_variant_looks_the_same(exported: Exported, tmp_path: Path) -> None:
    output, small = exported[1], tmp_path / "tiny.int8.onnx"
    quantize(output, small, PICTURES[:2])
    assert spec_of(onnx.load(small), small).precision == "int8"
    found = compare(output, small, PICTURES[2:])
    # Eight channels and no training leave little redundancy; a trained generator does better.
    assert all(decibels > 22 for decibels in found.values()), found


def test_the_float16_variant_is_half_as_large_and_looks_the_same(
    exported: Exported, tmp_path: Path
) -> None:
    output, half = exported[1], tmp_path / "tiny.f16.onnx"
    halve(output, half)
    model = onnx.load(half)
    assert spec_of(model, half).precision == "f16"
    weights = [len(tensor.raw_data) for tensor in model.graph.initializer]
    before = [len(tensor.raw_data) for tensor in onnx.load(output).graph.initializer]
    assert max(weights) == max(before) / 2
    inputs = onnxruntime.InferenceSession(str(half), providers=["CPUExecutionProvider"])
    assert [value.type for value in inputs.get_inputs()] == ["tensor(uint8)", "tensor(float)"]
    found = compare_halved(output, half, PICTURES[2:])
    assert sorted(found) == ["rings", "stripes"]
    assert all(decibels > 45 for decibels in found.values()), found


def test_bfloat16_is_rounded_to_after_every_layer() -> None:
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, 4, 3)
    layers = torch.nn.Sequential(convolution, torch.nn.Sigmoid(), torch.nn.MaxPool2d(2)).eval()
    frame = torch.rand(1, 3, 8, 8)
    with quiet_exporter():
        program = torch.onnx.export(layers, (frame,), dynamo=True, verbose=False)
    assert program is not None
    model = rounded_to_bfloat16(program.model_proto)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {session.get_inputs()[0].name: frame.numpy()})[0]

    def rounded(numbers: torch.Tensor) -> torch.Tensor:
        return numbers.bfloat16().float()

    with torch.no_grad():
        convolution.weight.copy_(rounded(convolution.weight))
        wanted = layers[2](rounded(rounded(convolution(frame)).sigmoid()))
    # Sums in another order may round to the next number, one part in 128 away.
    assert np.allclose(found, wanted.numpy(), rtol=0.008)
    assert (found == wanted.numpy()).mean() > 0.95
    assert (found == rounded(torch.from_numpy(found)).numpy()).all()


def test_bfloat16_would_look_the_same(exported: Exported) -> None:
    found = compare_bfloat16(exported[1], PICTURES[2:])
    assert sorted(found) == ["rings", "stripes"]
    assert all(45 < decibels < 70 for decibels in found.values()), found


def test_a_generator_without_styles(tmp_path: Path) -> None:
    native = NativeGenerator(FastGenerator(8, 1))
    path = tmp_path / "plain.onnx"
    onnx.save(to_onnx(native), path)
    assert check_parity(native, path, PICTURES, FrameSize(64, 48)).largest <= 2
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["frame"]
