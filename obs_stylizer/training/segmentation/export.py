"""Export of a mask network: native ONNX, batch norms folded in, computed in eight bits."""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime
import torch
from onnxruntime import quantization
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.model_spec import FRAME_INPUT, MASK_OUTPUT, write_spec
from obs_stylizer.training.datasets import sample_random
from obs_stylizer.training.export import OPSET, Parity, describe, export_graph, save_checked
from obs_stylizer.training.native import FrameNetwork
from obs_stylizer.training.objectives.segmentation import SegmentationObjective
from obs_stylizer.training.pictures import fit_frame
from obs_stylizer.training.recipe import Recipe
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.segmentation.network import ConvNormReLU, MaskNetwork, enlarging

log = logging.getLogger(__name__)

PARITY_SIZES: Final = (FrameSize(256, 144), FrameSize(192, 144))
_LARGEST_DIFFERENCE: Final = 3
"""Levels of 255."""
_CALIBRATION_FRAMES: Final = 48
_LARGEST_MEAN: Final = 6.0
"""Levels of 255 by which eight bits may differ from float in the mean of all frames."""


class NativeMaskNetwork(FrameNetwork):
    """Takes frames as uint8 (1, H, W, 3) and gives masks as uint8 (1, H, W, 1).

    Args:
        network: it is copied, and its batch norms folded in.
    """

    size_multiple = MaskNetwork.size_multiple
    styles = 0

    def __init__(self, network: MaskNetwork) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        for module in list(self.network.modules()):
            if isinstance(module, ConvNormReLU):
                convolution, norm = module[0], module[1]
                assert isinstance(convolution, nn.Conv2d)
                assert isinstance(norm, nn.BatchNorm2d)
                module[0] = fuse_conv_bn_eval(convolution, norm)
                module[1] = nn.Identity()
        for name in ("narrow_eighth", "narrow_quarter", "narrow_half"):
            setattr(self.network, name, enlarging(getattr(self.network, name)))

    def forward(self, frame: Tensor) -> Tensor:
        """Find people: uint8 (1, H, W, 3) to uint8 (1, H, W, 1), 255 a person."""
        logits = self.network(frame.permute(0, 3, 1, 2).float() / 255.0)
        # Nothing is above 1, so this stays under 256 and the cast, which cuts, also rounds.
        mask = (torch.sigmoid(logits) * 255.0 + 0.5).to(torch.uint8)
        return mask.permute(0, 2, 3, 1)


def trained_mask_network(run: RunDirectory) -> NativeMaskNetwork:
    """Return the moving-average network of a run's newest checkpoint.

    Raises:
        TrainingError: there is no checkpoint that fits the recipe.
    """
    network = MaskNetwork()
    state = run.load_checkpoint(torch.device("cpu"))["average"]
    prefix = "masker."
    network.load_state_dict({key.removeprefix(prefix): value for key, value in state.items()})
    return NativeMaskNetwork(network)


def export_mask_run(
    run: RunDirectory,
    output: Path,
    pictures: Sequence[Pixels],
    frames: Sequence[Pixels],
    quality: dict[str, float] | None = None,
) -> list[Parity]:
    """Write the mask network of ``run`` to ``output`` and its recipe beside it.

    Args:
        run: with a checkpoint.
        output: ends in ``.onnx``.
        pictures: real ones, uint8 (height, width, 3), to compare ONNX Runtime with torch on.
        frames: samples such as it was trained on, uint8 (height, width, 3), sides multiples of
            the network's, for the ranges of the eight bits.
        quality: measured figures to put into the file.

    Returns:
        The parity in float at each of :data:`PARITY_SIZES`.

    Raises:
        TrainingError: the run has no checkpoint, the graph cannot be exported, or ONNX Runtime
            and torch disagree.
    """
    native = trained_mask_network(run)
    model = to_onnx(native)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "float.onnx"
        onnx.save(model, whole)
        parity = [_check_parity(native, whole, pictures, size) for size in PARITY_SIZES]
    small = quantize_mask(model, frames)
    spec = describe(run.recipe, native.size_multiple, quality or {})
    write_spec(small, spec.model_copy(update={"precision": "int8"}))

    def check(part: Path) -> list[Parity]:
        _check_alike(part, native, frames)
        return parity

    return save_checked(small, run, output, check)


def to_onnx(native: NativeMaskNetwork) -> onnx.ModelProto:
    """Return ``native`` as an ONNX model, height and width free.

    Raises:
        TrainingError: torch cannot export it.
    """
    multiple = native.size_multiple
    frame = torch.zeros(1, 9 * multiple, 16 * multiple, 3, dtype=torch.uint8)
    model = export_graph(native, (frame,), MASK_OUTPUT)
    average_by_pooling(model)
    return model


def average_by_pooling(model: onnx.ModelProto) -> None:
    """Bring ``model`` to :data:`OPSET`, which torch leaves because of the mean over all places.

    Every other operator is the same in both; the checker would say so if one were not.
    """
    for node in model.graph.node:
        if node.op_type == "ReduceMean":
            pooled = onnx.helper.make_node("GlobalAveragePool", [node.input[0]], node.output)
            node.CopyFrom(pooled)
    used = {name for node in model.graph.node for name in node.input}
    left = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(left)
    for entry in model.opset_import:
        if entry.domain == "":
            entry.version = OPSET
    onnx.checker.check_model(model)


def calibration_frames(recipe: Recipe) -> list[Pixels]:
    """Return frames that a recipe trains on, uint8 (H, W, 3), for :func:`export_mask_run`.

    Raises:
        TrainingError: its pictures or its teacher cannot be used.
    """
    objective = SegmentationObjective(recipe, torch.device("cpu"))
    assert recipe.segmentation is not None
    size = FrameSize(*recipe.segmentation.sizes[0])
    return [
        objective.composites.draw(size, sample_random(recipe.seed, 0, number, 5)).frame
        for number in range(_CALIBRATION_FRAMES)
    ]


def quantize_mask(model: onnx.ModelProto, frames: Sequence[Pixels]) -> onnx.ModelProto:
    """Return ``model`` computed in eight bits: static quantization in QDQ form.

    Weights are signed, one scale for each output, of seven bits: without VNNI, processors add two
    products in 16 bits, which eight overflow now and then. A third of the time of float32 or less.

    Args:
        model: of :func:`to_onnx`.
        frames: uint8 (H, W, 3) with people and without, for the ranges of what lies between layers.
    """
    with tempfile.TemporaryDirectory() as folder:
        whole, prepared, made = (Path(folder) / f"{name}.onnx" for name in "abc")
        onnx.save(model, whole)
        quantization.quant_pre_process(
            str(whole), str(prepared), skip_optimization=True, skip_symbolic_shape=True
        )
        quantization.quantize_static(
            str(prepared),
            str(made),
            _Frames(frames),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
        return onnx.load(made)


class _Frames(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, frames: Sequence[Pixels]) -> None:
        self._feeds = ({FRAME_INPUT: frame[None]} for frame in frames)

    def get_next(self) -> dict[str, Pixels] | None:
        return next(self._feeds, None)


def _check_alike(part: Path, native: NativeMaskNetwork, frames: Sequence[Pixels]) -> None:
    """Compare the file at ``part``, computed in eight bits, with torch.

    Raises:
        TrainingError: they differ by more than :data:`_LARGEST_MEAN` in the mean.
    """
    session = onnxruntime.InferenceSession(str(part), providers=["CPUExecutionProvider"])
    differences = []
    for frame in frames:
        with torch.no_grad():
            wanted = native(torch.from_numpy(frame[None])).numpy()
        made = session.run([MASK_OUTPUT], {FRAME_INPUT: frame[None]})[0]
        differences.append(np.abs(made.astype(np.int16) - wanted.astype(np.int16)).mean())
    mean = float(np.mean(differences))
    if mean > _LARGEST_MEAN:
        raise TrainingError(
            f"in eight bits the masks differ by {mean:.1f} of 255 in the mean", "train longer"
        )
    log.info("eight bits differ from float by %.2f of 255 in the mean", mean)


def _check_parity(
    native: NativeMaskNetwork, path: Path, pictures: Sequence[Pixels], size: FrameSize
) -> Parity:
    """Compare the file at ``path`` in ONNX Runtime with torch.

    Raises:
        TrainingError: a pixel differs by more than :data:`_LARGEST_DIFFERENCE`.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    largest, means = 0, []
    for picture in pictures:
        frame = fit_frame(picture, size)[None]
        with torch.no_grad():
            wanted = native(torch.from_numpy(frame)).numpy()
        made = session.run([MASK_OUTPUT], {FRAME_INPUT: frame})[0]
        difference = np.abs(made.astype(np.int16) - wanted.astype(np.int16))
        largest = max(largest, int(difference.max()))
        means.append(float(difference.mean()))
    if largest > _LARGEST_DIFFERENCE:
        raise TrainingError(
            f"ONNX Runtime and torch differ by {largest} of 255 at {size}",
            "the exported graph does not do what was trained",
        )
    return Parity(largest, float(np.mean(means)))
