"""The weights of an exported mask network, to train it further from the ``.onnx`` alone.

Its batch norms were folded into the convolutions. They are put back so that the network does what
the file does: each gets the mean and variance that its convolution has on frames given, and undoes
them by its own weight and bias. Trained on, it normalises as before.
"""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from obs_stylizer.errors import TrainingError
from obs_stylizer.training.segmentation.network import ConvNormReLU, MaskNetwork

_PREFIX = "network."
Arrays = dict[str, NDArray[Any]]


def state_of(path: Path, network: MaskNetwork, frames: Tensor) -> dict[str, Tensor]:
    """Return the weights in an exported file, as the state of ``network``.

    Args:
        path: an ``.onnx`` that
            :func:`~obs_stylizer.training.segmentation.export.export_mask_run` wrote.
        network: of the same shape; it is left as it is.
        frames: float (B, 3, H, W), 0 to 1, such as are trained on, to normalise by.

    Raises:
        TrainingError: there is no such file, or it is of another kind or shape.
    """
    made = copy.deepcopy(network).eval().requires_grad_(False)
    weights, biases = _read(path)
    norms: list[nn.BatchNorm2d] = []
    for name, module in made.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        _take(path, name, module.weight, weights.get(name))
        if module.bias is not None:
            _take(path, name, module.bias, biases.get(name))
    for name, module in made.named_modules():
        if isinstance(module, ConvNormReLU):
            norm = module[1]
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_var is not None
            norm.weight.data.fill_(1)
            norm.running_var.fill_(1 - norm.eps)
            assert norm.running_mean is not None
            norm.running_mean.zero_()
            _take(path, f"{name}.0", norm.bias, biases.get(f"{name}.0"))
            norms.append(norm)
    _normalise(made, norms, frames)
    return dict(made.state_dict())


def _normalise(network: MaskNetwork, norms: list[nn.BatchNorm2d], frames: Tensor) -> None:
    seen: dict[nn.BatchNorm2d, tuple[Tensor, Tensor]] = {}

    def look(norm: nn.BatchNorm2d, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        variance, mean = torch.var_mean(given[0].float(), (0, 2, 3), correction=0)
        seen[norm] = variance, mean

    hooks = [norm.register_forward_pre_hook(partial(look, norm)) for norm in norms]
    with torch.no_grad():
        network(frames)
    for hook in hooks:
        hook.remove()
    for norm, (variance, mean) in seen.items():
        assert norm.running_var is not None
        assert norm.running_mean is not None
        norm.running_var.copy_(variance)
        norm.running_mean.copy_(mean)
        norm.weight.data.copy_((variance + norm.eps).sqrt())
        norm.bias.data.add_(mean)


def _take(path: Path, name: str, into: Tensor, stored: NDArray[Any] | None) -> None:
    values = None if stored is None else torch.from_numpy(stored.copy()).float()
    if values is None or values.shape != into.shape:
        found = "nothing" if values is None else tuple(values.shape)
        raise TrainingError(
            f"{path}: {name} is {found}, but this network's is {tuple(into.shape)}",
            "start from a mask network of the same shape, or from its run directory",
        )
    into.data.copy_(values)


def _read(path: Path) -> tuple[Arrays, Arrays]:
    """Return weights and biases of all convolutions by the names of these."""
    if not path.is_file():
        raise TrainingError(f"there is no model {path}")
    model = onnx.load(path)
    stored = {entry.name: onnx.numpy_helper.to_array(entry) for entry in model.graph.initializer}
    weights: Arrays = {}
    biases: Arrays = {}
    scaled = {
        node.output[0]: _multiplied_out(node, *(stored[name] for name in node.input[:2]))
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and all(name in stored for name in node.input)
    }
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose") or node.input[1] not in scaled:
            continue
        name = node.input[1].removeprefix(_PREFIX).partition(".weight")[0]
        weights[name] = scaled[node.input[1]]
        if node.op_type == "ConvTranspose":
            # An enlarging convolution says the same four times.
            weights[name] = weights[name][:, :, :1, :1].transpose(1, 0, 2, 3)
        if len(node.input) > 2 and node.input[2] in scaled:
            biases[name] = scaled[node.input[2]]
    return weights, biases


def _multiplied_out(
    node: onnx.NodeProto, values: NDArray[Any], scales: NDArray[Any]
) -> NDArray[Any]:
    """Return what is stored in eight bits, or a bias in 32, as float; its zero is at 0."""
    if scales.ndim and values.ndim:
        axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 1)
        shape = [1] * values.ndim
        shape[axis] = -1
        scales = scales.reshape(shape)
    return np.asarray(values * scales, np.float32)
