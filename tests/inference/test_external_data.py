"""Weights beside a model: where they are found, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.external_data import load_external_data
from obs_stylizer.inference.generator import open_generator
from obs_stylizer.inference.native_model import MAX_BYTES, load_proto
from obs_stylizer.inference.session import Provider, SessionOptions
from tests.fakes import models
from tests.fakes.foreign_models import Foreign, write_foreign_model


def parted(folder: Path, location: str = "weights.bin", name: str = "model.onnx") -> Path:
    """Write a foreign model with its weights in a file of their own, under that location."""
    folder.mkdir(parents=True, exist_ok=True)
    path = write_foreign_model(folder / name, Foreign())
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w", size_threshold=0)
    (folder / "w").rename(folder / "weights.bin")
    relocate(path, location)
    return path


def relocate(path: Path, location: str) -> None:
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())


def loaded(path: Path) -> onnx.ModelProto:
    model = load_proto(path)
    load_external_data(model, path, MAX_BYTES)
    return model


def weights(model: onnx.ModelProto) -> list[bytes]:
    return [onnx.numpy_helper.to_array(tensor).tobytes() for tensor in model.graph.initializer]


@pytest.fixture
def whole(tmp_path: Path) -> list[bytes]:
    return weights(onnx.load(write_foreign_model(tmp_path / "whole.onnx", Foreign())))


def _beside(folder: Path) -> Path:
    return parted(folder)


def _hub_cache(folder: Path) -> Path:
    """Both names are links into a folder of blobs, as huggingface_hub lays them out."""
    blobs = folder / "blobs"
    path = parted(blobs)
    path.rename(blobs / "aaaa")
    (blobs / "weights.bin").rename(blobs / "bbbb")
    snapshot = folder / "snapshots" / "0123" / "onnx"
    snapshot.mkdir(parents=True)
    (snapshot / "model.onnx").symlink_to("../../../blobs/aaaa")
    (snapshot / "weights.bin").symlink_to("../../../blobs/bbbb")
    return snapshot / "model.onnx"


def _hub_cache_with_a_copied_model(folder: Path) -> Path:
    """Only the large file is a link."""
    link = _hub_cache(folder)
    content = link.read_bytes()
    link.unlink()
    link.write_bytes(content)
    return link


def _link_to_a_whole_folder(folder: Path) -> Path:
    parted(folder / "real")
    (folder / "linked").symlink_to("real")
    return folder / "linked" / "model.onnx"


def _link_to_the_model_alone(folder: Path) -> Path:
    (folder / "link.onnx").symlink_to(parted(folder / "real"))
    return folder / "link.onnx"


def _windows_folder(folder: Path) -> Path:
    path = parted(folder, "data\\weights.bin")
    (folder / "data").mkdir()
    (folder / "weights.bin").rename(folder / "data" / "weights.bin")
    return path


def _windows_here(folder: Path) -> Path:
    return parted(folder, ".\\weights.bin")


def _backslash_in_the_name(folder: Path) -> Path:
    """As an archive made on Windows is unpacked elsewhere."""
    path = parted(folder, "data\\weights.bin")
    (folder / "weights.bin").rename(folder / "data\\weights.bin")
    return path


@pytest.mark.parametrize(
    "make",
    [
        _beside,
        _hub_cache,
        _hub_cache_with_a_copied_model,
        _link_to_a_whole_folder,
        _link_to_the_model_alone,
        _windows_folder,
        _windows_here,
        _backslash_in_the_name,
    ],
)
def test_weights_are_found_beside_the_name(
    tmp_path: Path, whole: list[bytes], make: Callable[[Path], Path]
) -> None:
    assert weights(loaded(make(tmp_path / "m"))) == whole


@pytest.mark.parametrize(
    "location",
    [
        "../weights.bin",
        "..\\weights.bin",
        "data/../../weights.bin",
        "/etc/hostname",
        "C:\\Users\\me\\weights.bin",
        "C:weights.bin",
        "\\\\server\\share\\weights.bin",
    ],
)
def test_places_outside_of_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    path = parted(tmp_path / "m", location)
    (tmp_path / "weights.bin").write_bytes((tmp_path / "m" / "weights.bin").read_bytes())
    with pytest.raises(ModelError) as caught:
        load_proto(path)
    assert f"“{location}”, which is outside of its own folder" in caught.value.message
    assert "export it again with its weights inside" in caught.value.remedy


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = parted(tmp_path / "m")
    (tmp_path / "m" / "weights.bin").rename(tmp_path / "elsewhere.bin")
    (tmp_path / "m" / "weights.bin").symlink_to(tmp_path / "elsewhere.bin")
    with pytest.raises(ModelError, match=r"is a link to .*elsewhere\.bin") as caught:
        load_proto(path)
    assert "put the file itself there in place of the link" in caught.value.remedy
    (tmp_path / "m" / "weights.bin").unlink()
    (tmp_path / "elsewhere.bin").rename(tmp_path / "m" / "weights.bin")
    loaded(path)


def test_a_missing_file_is_wanted_beside_the_link(tmp_path: Path) -> None:
    path = _hub_cache(tmp_path)
    (path.parent / "weights.bin").unlink()
    with pytest.raises(ModelError) as caught:
        load_proto(path)
    assert f"put it into {path.parent}," in caught.value.remedy
    (path.parent / "weights.bin").write_bytes((tmp_path / "blobs" / "bbbb").read_bytes())
    loaded(path)


def test_a_cut_file_of_weights_is_told(tmp_path: Path) -> None:
    path = parted(tmp_path)
    content = (tmp_path / "weights.bin").read_bytes()
    (tmp_path / "weights.bin").write_bytes(content[:-10])
    with pytest.raises(ModelError, match=r"weights\.bin is cut short: .* the file has"):
        loaded(path)


def test_a_pointer_in_place_of_weights_is_told(tmp_path: Path) -> None:
    path = parted(tmp_path)
    text = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n" + b"." * 4000
    (tmp_path / "weights.bin").write_bytes(text)
    with pytest.raises(ModelError) as caught:
        loaded(path)
    assert caught.value.remedy == "run: git lfs pull"


def test_more_than_one_file_can_hold_is_told(tmp_path: Path) -> None:
    path = parted(tmp_path)
    with pytest.raises(ModelError, match="larger than an ONNX file"):
        load_external_data(load_proto(path), path, 1000)


def test_weights_inside_an_inner_graph_are_read_too(tmp_path: Path) -> None:
    inner = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["k"], ["t"])],
        "inner",
        [],
        [onnx.helper.make_tensor_value_info("t", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.ones(3, np.float32), "k")],
    )
    tensor = inner.initializer[0]
    (tmp_path / "w.bin").write_bytes(np.arange(3, dtype=np.float32).tobytes())
    onnx.external_data_helper.set_external_data(tensor, "w.bin")
    tensor.ClearField("raw_data")
    node = onnx.helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [info("c", onnx.TensorProto.BOOL, [])],
        [info("y", onnx.TensorProto.FLOAT, [3])],
    )
    path = tmp_path / "a.onnx"
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    then = loaded(path).graph.node[0].attribute[0].g
    assert onnx.numpy_helper.to_array(then.initializer[0]).tolist() == [0, 1, 2]
    (tmp_path / "w.bin").unlink()
    with pytest.raises(ModelError, match=r"“w\.bin” is missing"):
        load_proto(path)


def test_a_native_generator_runs_through_the_hubs_links(tmp_path: Path, frame: Pixels) -> None:
    blobs = tmp_path / "blobs"
    path = models.write_convolutional_model(blobs / "model.onnx")
    size = FrameSize(frame.shape[1], frame.shape[0])
    options = SessionOptions(provider=Provider.CPU)
    with open_generator(path, size, options) as generator:
        wanted = generator.run(frame).copy()
    onnx.save(
        onnx.load(path), path, save_as_external_data=True, location="weights", size_threshold=0
    )
    path.rename(blobs / "aaaa")
    (blobs / "weights").rename(blobs / "bbbb")
    snapshot = tmp_path / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (snapshot / "model.onnx").symlink_to("../../blobs/aaaa")
    (snapshot / "weights").symlink_to("../../blobs/bbbb")
    with open_generator(snapshot / "model.onnx", size, options) as generator:
        assert np.array_equal(generator.run(frame), wanted)
