"""Inputs beside the picture, held at a value inside the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from obs_stylizer.errors import ModelError, UsageError
from obs_stylizer.inference.graph_scopes import free_name, names_in

_TRUTH: Final = {"true": 1.0, "yes": 1.0, "on": 1.0, "false": 0.0, "no": 0.0, "off": 0.0}


def parse_fixed(settings: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Read ``NAME=VALUE`` settings: a number, several with commas between them, or true or false.

    Raises:
        UsageError: one is not of that form, or names an input again.
    """
    fixed: dict[str, tuple[float, ...]] = {}
    for setting in settings:
        name, equals, text = setting.rpartition("=")
        try:
            values = tuple(
                _TRUTH[part] if part in _TRUTH else float(part)
                for part in (part.strip().lower() for part in text.split(","))
            )
        except ValueError:
            values = ()
        if not name or not equals or not values or name in fixed:
            again = f": “{name}” is named twice" if name in fixed else ""
            raise UsageError(
                f"--fix {setting} cannot be read{again}",
                "write it as --fix NAME=NUMBER, as in --fix strength=0.5, once for each input",
            )
        fixed[name] = values
    return fixed


def fix_inputs(
    model: onnx.ModelProto,
    path: Path,
    fixed: Mapping[str, tuple[float, ...]],
    picture: onnx.ValueInfoProto | None,
) -> list[str]:
    """Hold inputs at values, changed in place.

    Args:
        model: with its weights inside.
        path: its file, for messages.
        fixed: values by name: one for all numbers of the input, or as many as it has.
        picture: the input that stays. A free dimension of another input that bears the name of
            one of its dimensions follows it; other free dimensions become 1.

    Returns:
        What was fixed, in words.

    Raises:
        ModelError: there is no such input, or the values do not fit it.
    """
    graph = model.graph
    inputs = {value.name: value for value in graph.input}
    weights = {tensor.name for tensor in graph.initializer}
    changes = []
    for name, values in fixed.items():
        value = inputs.get(name)
        if value is None or (picture is not None and name == picture.name):
            others = ", ".join(
                n for n in inputs if n not in weights and (picture is None or n != picture.name)
            )
            raise ModelError(
                f"{path}: has no input “{name}” that --fix could hold",
                f"it has {others}" if others else "it has none but the picture; leave out --fix",
            )
        kind = value.type.tensor_type.elem_type
        dims = list(value.type.tensor_type.shape.dim)
        shape = [dim.dim_value or 1 for dim in dims]
        array = _array(path, name, kind, values, shape)
        _remove(graph.input, name)
        _remove(graph.initializer, name)
        followed = {
            place: axis
            for place, dim in enumerate(dims)
            for axis in _axes_named(picture, dim.dim_param)
        }
        if followed and picture is not None:
            _follow(graph, name, array, shape, followed, picture.name)
        else:
            graph.initializer.append(numpy_helper.from_array(array, name))
        changes.append(f"“{name}” is held at {', '.join(f'{number:g}' for number in values)}")
    return changes


def _array(
    path: Path, name: str, kind: int, values: tuple[float, ...], shape: list[int]
) -> NDArray[np.generic]:
    try:
        dtype = helper.tensor_dtype_to_np_dtype(kind)
    except KeyError:
        dtype = np.dtype(object)
    if dtype.kind not in "fiub":
        raise ModelError(
            f"{path}: its input “{name}” takes no numbers, so it cannot be fixed",
            "export it again with that input fixed inside the graph",
        )
    if dtype.kind in "iu" and any(value != round(value) for value in values):
        raise ModelError(
            f"{path}: its input “{name}” takes whole numbers, not {values[0]:g}",
            f"round it, as in --fix {name}={round(values[0])}",
        )
    count = int(np.prod(shape, dtype=np.int64))
    if len(values) not in (1, count):
        raise ModelError(
            f"{path}: its input “{name}” holds {count} numbers, not {len(values)}",
            f"name one for all, as in --fix {name}={values[0]:g}, or {count} with commas between",
        )
    return np.broadcast_to(np.array(values), count).reshape(shape).astype(dtype)


def _axes_named(picture: onnx.ValueInfoProto | None, name: str) -> list[int]:
    """Return where the picture has a side of that name: none, or the first place."""
    if picture is None or not name:
        return []
    names = [dim.dim_param for dim in picture.type.tensor_type.shape.dim]
    if len(names) == 4:
        names[0] = ""  # There is one picture.
    return [names.index(name)] if name in names else []


def _follow(
    graph: onnx.GraphProto,
    name: str,
    array: NDArray[np.generic],
    shape: list[int],
    followed: Mapping[int, int],
    picture: str,
) -> None:
    """Spread ``array`` over the picture's sides, by nodes at the beginning of the graph."""
    taken = names_in(graph)
    small, sides, target = (free_name(f"{name}/{part}", taken) for part in ("of", "sides", "shape"))
    nodes = [helper.make_node("Shape", [picture], [sides])]
    parts = []
    for place, side in enumerate(shape):
        part = free_name(f"{name}/side", taken)
        number = followed.get(place, side)
        constant = numpy_helper.from_array(np.array([number], np.int64), free_name(part, taken))
        graph.initializer.append(constant)
        if place in followed:
            nodes.append(helper.make_node("Gather", [sides, constant.name], [part], axis=0))
        parts.append(part if place in followed else constant.name)
    graph.initializer.append(numpy_helper.from_array(array, small))
    nodes.append(helper.make_node("Concat", parts, [target], axis=0))
    nodes.append(helper.make_node("Expand", [small, target], [name]))
    rest = onnx.GraphProto(node=graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest.node])


def _remove(values: object, name: str) -> None:
    """Take what bears that name out of a repeated field."""
    for value in [value for value in values if value.name == name]:  # type: ignore[attr-defined]
        values.remove(value)  # type: ignore[attr-defined]
