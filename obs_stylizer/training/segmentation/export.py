"""Export of a mask network: native ONNX, batch norms folded in, weights in eight bits."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.model_spec import FRAME_INPUT, MASK_OUTPUT, write_spec
from obs_stylizer.training.export import OPSET, Parity, describe, export_graph, save_checked
from obs_stylizer.training.native import FrameNetwork
from obs_stylizer.training.pictures import fit_frame
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.segmentation.network import ConvNormReLU, MaskNetwork, enlarging

Floats = NDArray[np.float32]

PARITY_SIZES: Final = (FrameSize(256, 144), FrameSize(192, 144))
_LARGEST_DIFFERENCE: Final = 3
"""Levels of 255."""
BYTES: Final = ".bytes"
SCALES: Final = ".scales"
"""End the names of weights in eight bits, and of what each output's are multiplied with."""
_LEAST_STORED: Final = 256
"""Numbers that a tensor must hold for its eight bits to be worth two nodes."""
_LARGEST_BYTE: Final = 127


class NativeMaskNetwork(FrameNetwork):
    """Takes frames as uint8 (1, H, W, 3) and gives masks as uint8 (1, H, W, 1).

    Args:
        network: it is copied, its batch norms folded in, its weights rounded to eight bits.
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
        for module in self.network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                outputs = 1 if isinstance(module, nn.ConvTranspose2d) else 0
                values, scales = in_bytes(module.weight.numpy(), outputs)
                module.weight.data = torch.from_numpy(values * scales)

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
    quality: dict[str, float] | None = None,
) -> list[Parity]:
    """Write the mask network of ``run`` to ``output`` and its recipe beside it.

    Args:
        run: with a checkpoint.
        output: ends in ``.onnx``.
        pictures: real ones, uint8 (height, width, 3), to compare ONNX Runtime with torch on.
        quality: measured figures to put into the file.

    Returns:
        The parity at each of :data:`PARITY_SIZES`.

    Raises:
        TrainingError: the run has no checkpoint, the graph cannot be exported, or ONNX Runtime
            and torch disagree.
    """
    native = trained_mask_network(run)
    model = to_onnx(native)
    write_spec(model, describe(run.recipe, native.size_multiple, quality or {}))
    store_in_bytes(model)
    return save_checked(
        model,
        run,
        output,
        lambda part: [_check_parity(native, part, pictures, size) for size in PARITY_SIZES],
    )


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


def in_bytes(weights: Floats, outputs: int) -> tuple[NDArray[np.int8], Floats]:
    """Return weights in eight bits, and by what they are multiplied: one number for each output.

    Args:
        weights: of a convolution, float32 of four dimensions.
        outputs: the dimension of its outputs.
    """
    others = tuple(number for number in range(weights.ndim) if number != outputs)
    largest = np.abs(weights).max(others, keepdims=True)
    scales = (np.maximum(largest, np.finfo(np.float32).tiny) / _LARGEST_BYTE).astype(np.float32)
    return np.rint(weights / scales).astype(np.int8), scales


def store_in_bytes(model: onnx.ModelProto) -> None:
    """Store the weights of convolutions in eight bits, and compute with them in 32.

    Runtimes multiply them out once, at loading.
    """
    outputs = {
        node.input[1]: 1 if node.op_type == "ConvTranspose" else 0
        for node in model.graph.node
        if node.op_type in ("Conv", "ConvTranspose")
    }
    kept, nodes = [], []
    for tensor in model.graph.initializer:
        weights = onnx.numpy_helper.to_array(tensor)
        name = tensor.name
        if name not in outputs or weights.size < _LEAST_STORED:
            kept.append(tensor)
            continue
        values, scales = in_bytes(weights, outputs[name])
        kept.append(onnx.numpy_helper.from_array(values, name + BYTES))
        kept.append(onnx.numpy_helper.from_array(scales, name + SCALES))
        whole = f"{name}.whole"
        nodes.append(
            onnx.helper.make_node("Cast", [name + BYTES], [whole], to=onnx.TensorProto.FLOAT)
        )
        nodes.append(onnx.helper.make_node("Mul", [whole, name + SCALES], [name]))
    nodes.extend(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)


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
