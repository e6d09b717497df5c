"""Style rows: all that tells one style of a generator from another, as numbers that the host mixes.

Conditional instance normalisation (Dumoulin et al. 2017, "A Learned Representation for Artistic
Style") gives each style a scale and a shift for every feature map; a gain of the frame's local
contrast may join them. They are some 2 400 numbers, its *row*. An exported generator takes one row
as the input ``rows``, so that styles which its file has never seen can be mixed with those that it
brings. The file's metadata hold the rows of the latter, and from which part of a row each norm
reads.

Older files take the weights of a fixed list of styles as the input ``style`` and mix in the graph.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx.numpy_helper
from numpy.typing import NDArray

from obs_stylizer.errors import ModelError
from obs_stylizer.inference.model_spec import ROWS_INPUT, STYLE_INPUT

METADATA_KEY: Final = "obs_stylizer.style_rows"


@dataclass(frozen=True)
class StyleRows:
    """The rows of the styles that a file brings.

    Attributes:
        parts: name of each parameter that a row is cut into, and how many numbers it takes, in
            order.
        values: float32 (S, R), in the order of the file's styles.
    """

    parts: tuple[tuple[str, int], ...]
    values: NDArray[np.float32]

    def part(self, name: str) -> NDArray[np.float32]:
        """Return the values (S, C) of one parameter for every style."""
        first = 0
        for part, width in self.parts:
            if part == name:
                return self.values[:, first : first + width]
            first += width
        raise KeyError(name)


def write_rows(model: onnx.ModelProto, rows: StyleRows) -> None:
    """Put ``rows`` into the metadata of ``model``, in half precision, replacing older ones.

    In half precision they stay within 0.05 % of what was trained.
    """
    kept = [entry for entry in model.metadata_props if entry.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    document = {
        "parts": [list(part) for part in rows.parts],
        "values": [row_text(row) for row in rows.values],
    }
    compact = json.dumps(document, separators=(",", ":"))
    model.metadata_props.add(key=METADATA_KEY, value=compact)


def read_rows(model: onnx.ModelProto, path: Path) -> StyleRows | None:
    """Return the rows in the metadata of ``model``, or None if it has none.

    Raises:
        ModelError: they are damaged; ``path`` is named.
    """
    for entry in model.metadata_props:
        if entry.key != METADATA_KEY:
            continue
        try:
            document = json.loads(entry.value)
            parts = tuple((str(name), int(width)) for name, width in document["parts"])
            values = np.stack([row_of(text) for text in document["values"]])
            if values.shape[1] != sum(width for _, width in parts):
                raise ValueError("a row has another length than its parts")
        except (ValueError, KeyError, TypeError) as cause:
            raise ModelError(
                f"{path}: the rows of its styles are damaged: {cause}", "export it again"
            ) from cause
        return StyleRows(parts, values)
    return None


def copy_rows(model: onnx.ModelProto, variant: onnx.ModelProto) -> None:
    """Put the rows of ``model``, if it has any, into the metadata of a variant of it."""
    rows = [entry.value for entry in model.metadata_props if entry.key == METADATA_KEY]
    if rows and all(entry.key != METADATA_KEY for entry in variant.metadata_props):
        variant.metadata_props.add(key=METADATA_KEY, value=rows[0])


def row_text(row: NDArray[np.float32]) -> str:
    """Return a row (R,) as text: half precision, little-endian, base64."""
    return base64.b64encode(row.astype("<f2").tobytes()).decode("ascii")


def row_of(text: str) -> NDArray[np.float32]:
    """Return the row (R,) that :func:`row_text` wrote.

    Raises:
        ValueError: it is no such text, or holds what is no number.
    """
    row = np.frombuffer(base64.b64decode(text, validate=True), "<f2").astype(np.float32)
    if not row.size or not np.isfinite(row).all():
        raise ValueError("it holds what is no number")
    return row


def take_rows_as_input(model: onnx.ModelProto) -> StyleRows:
    """Turn a graph that mixes the styles of a fixed list into one that takes a row.

    Args:
        model: with the input ``style``; changed in place. Works on files with 8-bit and half
            precision weights too.

    Returns:
        The rows that were in the graph; :func:`write_rows` puts them into the metadata.

    Raises:
        ModelError: the style is used for something else than for mixing rows.
    """
    graph = model.graph
    stored = {entry.name: onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
    casts = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Cast" and node.input[0] in stored
    }
    parts: list[tuple[str, int]] = []
    tables: list[NDArray[np.float32]] = []
    cut, kept, used = [], [], set()
    for node in graph.node:
        if STYLE_INPUT not in node.input:
            kept.append(node)
            continue
        source = casts.get(node.input[1], node.input[1])
        if node.op_type != "MatMul" or source not in stored:
            raise ModelError(f"its style goes into a {node.op_type}: it mixes no rows")
        parts.append((node.input[1], int(stored[source].shape[1])))
        tables.append(stored[source].astype(np.float32))
        cut.append(node.output[0])
        used |= {node.input[1], source}
    if not tables:
        raise ModelError("it has no styles whose rows could be taken out")
    # By name, so that variants of one generator agree, whatever order a converter left them in.
    order = sorted(range(len(parts)), key=lambda place: parts[place][0])
    parts, tables = [parts[place] for place in order], [tables[place] for place in order]
    cut = [cut[place] for place in order]
    rows = StyleRows(tuple(parts), np.concatenate(tables, axis=1))
    widths = np.array([width for _, width in parts], np.int64)
    graph.initializer.add().CopyFrom(onnx.numpy_helper.from_array(widths, f"{ROWS_INPUT}.widths"))
    split = onnx.helper.make_node(
        "Split", [ROWS_INPUT, f"{ROWS_INPUT}.widths"], cut, name=f"{ROWS_INPUT}.split", axis=1
    )
    nodes = [split, *(node for node in kept if not used.intersection(node.output))]
    _replace(graph.node, nodes)
    _replace(graph.initializer, [entry for entry in graph.initializer if entry.name not in used])
    _replace(graph.value_info, [entry for entry in graph.value_info if entry.name not in used])
    taken = onnx.helper.make_tensor_value_info(
        ROWS_INPUT, onnx.TensorProto.FLOAT, [1, rows.values.shape[1]]
    )
    _replace(graph.input, [taken if value.name == STYLE_INPUT else value for value in graph.input])
    return rows


def hash_weights(model: onnx.ModelProto) -> str:
    """Return the SHA-256 of all weights in the graph: those that the styles of a file share.

    Rows fit the weights that they were trained with and no others. A variant in another number
    format carries the hash of the file it was made from.
    """
    digest = hashlib.sha256()
    for entry in sorted(model.graph.initializer, key=lambda entry: entry.name):
        digest.update(entry.name.encode() + b"\0")
        digest.update(np.ascontiguousarray(onnx.numpy_helper.to_array(entry)).tobytes())
    return digest.hexdigest()


def style_feed(
    model: onnx.ModelProto, path: Path, weights: Sequence[float] | NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Return the input that mixes the styles of ``model`` by ``weights`` (S,), by its name.

    Empty for a model without styles. For a file of either form; whoever runs one frame after
    another opens a :class:`~obs_stylizer.inference.generator.Generator` instead.
    """
    mix = np.asarray(weights, np.float32)
    names = {value.name for value in model.graph.input}
    if ROWS_INPUT in names:
        rows = read_rows(model, path)
        if rows is None:
            raise ModelError(f"{path} takes rows and brings none")
        return {ROWS_INPUT: (mix @ rows.values)[None]}
    return {STYLE_INPUT: mix[None]} if STYLE_INPUT in names else {}


def _replace(repeated: Any, entries: Sequence[Any]) -> None:
    """Put ``entries`` into a repeated field in the place of what is there."""
    copies = []
    for entry in entries:
        copies.append(type(entry)())
        copies[-1].CopyFrom(entry)
    del repeated[:]
    repeated.extend(copies)
