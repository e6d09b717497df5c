"""Weights that a model keeps in other files: where they may lie, and how they are read.

They belong beside the model, under the name that stands in it. The cache of the Hugging Face hub
shows models and weights as links into one folder of blobs, so a link is looked beside first, and
what lies where it leads comes second. Anything outside of those folders is refused: a model from
the network must not choose which files of this machine are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

import numpy as np
import onnx

from obs_stylizer.errors import ModelError
from obs_stylizer.inference.graph_scopes import tensors_of

_BITS: Final = {
    onnx.TensorProto.DOUBLE: 64,
    onnx.TensorProto.INT64: 64,
    onnx.TensorProto.UINT64: 64,
    onnx.TensorProto.FLOAT: 32,
    onnx.TensorProto.INT32: 32,
    onnx.TensorProto.UINT32: 32,
    onnx.TensorProto.FLOAT16: 16,
    onnx.TensorProto.BFLOAT16: 16,
    onnx.TensorProto.INT16: 16,
    onnx.TensorProto.UINT16: 16,
}
"""Bits of one number of the common formats; others are read as long as the model says."""

_INSIDE: Final = "export it again with its weights inside, or beside it under a plain file name"


def external_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor whose numbers lie in another file."""
    return (t for t in tensors_of(model) if t.data_location == onnx.TensorProto.EXTERNAL)


def check_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Make sure that every file of weights is there and may be read.

    Args:
        model: without those weights.
        path: its file, as it was named: links are not resolved.

    Raises:
        ModelError: a file is missing, or lies outside of the model's folder.
    """
    for location in {_note(tensor, "location") for tensor in external_tensors(model)}:
        weights_file(path, location)


def load_external_data(model: onnx.ModelProto, path: Path, limit: int) -> None:
    """Read those weights into ``model``, changed in place.

    Args:
        model: without those weights.
        path: its file, as it was named.
        limit: bytes that all of them together may have.

    Raises:
        ModelError: a file is missing, cut short, no weights, or lies outside of the model's
            folder; or there is more than ``limit``.
    """
    total = model.ByteSize()
    for tensor in external_tensors(model):
        location = _note(tensor, "location")
        file = weights_file(path, location)
        try:
            offset = int(_note(tensor, "offset") or 0)
            length = int(_note(tensor, "length") or 0) or _bytes_of(tensor)
            with file.open("rb") as stream:
                have = os.fstat(stream.fileno()).st_size
                if offset < 0 or length < 0:
                    raise ValueError(f"“{tensor.name}” has a negative place in it")
                length = length or have - offset
                total += length
                if total > limit:
                    raise ModelError(
                        f"{path}: with its weights it is larger than an ONNX file can be (2 GB)",
                        "take a smaller variant, or one with float16 weights",
                    )
                stream.seek(offset)
                content = stream.read(length)
        except (OSError, ValueError) as cause:
            raise ModelError(f"{path}: its weights file {file} cannot be read: {cause}") from cause
        if content.startswith(b"version https://git-lfs"):
            raise ModelError(f"{file} is only a pointer to the weights", "run: git lfs pull")
        if len(content) < length:
            raise ModelError(
                f"{path}: its weights file {file} is cut short: “{tensor.name}” should end at "
                f"byte {offset + length}, the file has {have}",
                "download it again",
            )
        tensor.raw_data = content
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def weights_file(path: Path, location: str) -> Path:
    """Return the file that the model at ``path`` calls ``location``.

    A location written on Windows is read as meant; the name itself goes first, because archives
    unpacked elsewhere leave files with backslashes in their names.

    Raises:
        ModelError: it is not there, or outside of the model's folder.
    """
    named = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
    name = location.replace("\\", "/")
    outside = (
        PurePosixPath(name).is_absolute()
        or bool(PureWindowsPath(location).anchor)
        or ".." in PurePosixPath(name).parts
        or "\0" in name
    )
    if outside:
        raise ModelError(
            f"{path}: wants its weights from “{location}”, which is outside of its own folder",
            _INSIDE,
        )
    folders = [named.parent, named.resolve().parent]
    allowed = [folder.resolve() for folder in (*folders, *_blobs(named))]
    for file in (folder / spelt for folder in folders for spelt in (location, name)):
        if not location or not file.is_file():
            continue
        real = file.resolve()
        if not any(real.is_relative_to(folder) for folder in allowed):
            raise ModelError(
                f"{path}: its weights file {file} is a link to {real}, outside of the model's "
                "folder",
                "put the file itself there in place of the link",
            )
        return file
    raise ModelError(
        f"{path}: its weights file “{location}” is missing",
        f"put it into {named.parent}, where the model expects it",
    )


def _blobs(path: Path) -> Iterator[Path]:
    """Yield the folder that a hub's cache keeps the contents of ``path`` and its weights in."""
    for folder in path.parents:
        if folder.name == "snapshots":
            yield folder.parent / "blobs"


def _note(tensor: onnx.TensorProto, key: str) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == key), "")


def _bytes_of(tensor: onnx.TensorProto) -> int:
    """Return how many bytes its numbers take; 0 for a format that is not known here."""
    count = int(np.prod(tensor.dims, dtype=np.int64))
    return count * _BITS.get(tensor.data_type, 0) // 8
