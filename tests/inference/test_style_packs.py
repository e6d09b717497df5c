"""Rows as an input, and packs that bring more of them: mixed with the file's own, or refused."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.generator import known_styles, open_generator
from obs_stylizer.inference.native_model import load_native_model
from obs_stylizer.inference.session import Provider, SessionOptions
from obs_stylizer.inference.style_packs import (
    MAX_BYTES,
    StylePack,
    StylePackFolder,
    read_pack,
    styles_folder,
    write_pack,
)
from obs_stylizer.inference.style_rows import row_text
from tests.fakes import models

SIZE = FrameSize(64, 48)
CPU = SessionOptions(provider=Provider.CPU, threads=1)
OPENVINO = SessionOptions(provider=Provider.OPENVINO, threads=1)


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the user's own folders into a fresh one."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def tint(tmp_path: Path) -> Path:
    return models.write_row_tint_model(tmp_path / "tint.onnx", ("red", "blue"))


def pack_for(model: Path, name: str, row: tuple[float, ...]) -> StylePack:
    return StylePack(
        name=name,
        title=name.capitalize(),
        generator="tint",
        weights_hash=load_native_model(model).spec.weights_hash,
        row=row_text(np.array(row, np.float32)),
    )


@pytest.mark.parametrize("options", [CPU, OPENVINO], ids=["onnxruntime", "openvino"])
def test_rows_of_the_file_and_of_packs_mix(
    tint: Path, own_folders: None, options: SessionOptions
) -> None:
    frame = np.full(SIZE.shape, 100, np.uint8)
    with open_generator(tint, SIZE, options) as generator:
        assert generator.run(frame, {"blue": 5})[0, 0].tolist() == [100, 100, 160]
        assert generator.run(frame, {"red": 1, "blue": 1})[0, 0].tolist() == [130, 100, 130]
        with pytest.raises(ModelError, match=r"has no style “dusk” \(it has red, blue\)"):
            generator.run(frame, {"dusk": 1})

        # Installed while the generator runs.
        write_pack(pack_for(tint, "dusk", (20, 40, 0)), styles_folder() / "dusk.style")
        assert known_styles(load_native_model(tint)) == ("red", "blue", "dusk")
        assert generator.run(frame, {"dusk": 1})[0, 0].tolist() == [120, 140, 100]
        assert generator.run(frame, {"dusk": 1, "red": 1})[0, 0].tolist() == [140, 120, 100]
        assert generator.style_weights({"dusk": 3, "red": 1}) == {
            "red": 0.25,
            "blue": 0,
            "dusk": 0.75,
        }


def test_a_pack_for_another_generator_is_refused_and_both_are_named(
    tint: Path, own_folders: None
) -> None:
    pack = pack_for(tint, "dusk", (20, 40, 0))
    other = pack.model_copy(update={"weights_hash": "ab" * 32, "generator": "sketches"})
    write_pack(other, styles_folder() / "dusk.style")
    with (
        open_generator(tint, SIZE, CPU) as generator,
        pytest.raises(ModelError, match="dusk belongs to sketches abababab, and this is tint"),
    ):
        generator.run(np.zeros(SIZE.shape, np.uint8), {"dusk": 1})


def test_a_pack_with_a_row_of_another_length_is_refused(tint: Path, own_folders: None) -> None:
    write_pack(pack_for(tint, "short", (20, 40)), styles_folder() / "short.style")
    with (
        open_generator(tint, SIZE, CPU) as generator,
        pytest.raises(ModelError, match="short does not fit tint"),
    ):
        generator.run(np.zeros(SIZE.shape, np.uint8), {"short": 1})


def test_a_file_whose_rows_are_not_those_of_its_styles_is_refused(tint: Path) -> None:
    model = onnx.load(tint)
    for entry in model.metadata_props:
        if entry.key == "obs_stylizer.style_rows":
            document = json.loads(entry.value)
            document["values"] = document["values"][:1]
            entry.value = json.dumps(document)
    onnx.save(model, tint)
    with pytest.raises(ModelError, match="rows of 1 styles but 2 are named"):
        load_native_model(tint)
    for entry in model.metadata_props:
        if entry.key == "obs_stylizer.style_rows":
            entry.value = entry.value[:-9]
    onnx.save(model, tint)
    with pytest.raises(ModelError, match="rows of its styles are damaged"):
        load_native_model(tint)


def _changed(pack: StylePack, **values: object) -> bytes:
    return json.dumps({**pack.model_dump(), **values}).encode()


def _hostile(pack: StylePack) -> dict[str, bytes]:
    whole = pack.model_dump_json().encode()
    huge = np.array([1, 2, 5000], np.float32)
    return {
        "cut off": whole[: len(whole) // 2],
        "empty": b"",
        "too large": whole + b" " * MAX_BYTES,
        "pickle": pickle.dumps({"row": [1.0]}),
        "zip": b"PK\x03\x04" + whole,
        "deep": b"[" * 20_000,
        "path as name": _changed(pack, name="../../etc/passwd"),
        "drive as name": _changed(pack, name="c:evil"),
        "long name": _changed(pack, name="a" * 300),
        "no row": _changed(pack, row=""),
        "half a number": _changed(pack, row="AAAA"),
        "not a number": _changed(pack, row=row_text(np.array([1, np.nan, 2], np.float32))),
        "infinite": _changed(pack, row=row_text(np.array([1, np.inf, 2], np.float32))),
        "beyond all styles": _changed(pack, row=row_text(huge)),
        "hash": _changed(pack, weights_hash="../x"),
        "script as thumbnail": _changed(pack, thumbnail="PHN2Zz4="),
        "unknown key": _changed(pack, run="rm"),
        "later version": _changed(pack, version=2),
    }


def test_what_is_no_pack_is_refused_and_left_out(tint: Path, tmp_path: Path) -> None:
    good = pack_for(tint, "dusk", (20, 40, 0))
    folder = tmp_path / "packs"
    write_pack(good, folder / "dusk.style")
    for what, content in _hostile(good).items():
        path = folder / f"{what.replace(' ', '-')}.style"
        path.write_bytes(content)
        with pytest.raises(ModelError) as caught:
            read_pack(path)
        assert path.name in str(caught.value), what
    (folder / "another.style").write_bytes(good.model_dump_json().encode())
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.style")
    assert list(StylePackFolder(folder).all()) == ["dusk"]
    assert sorted(path.name for path in folder.glob(".part-*")) == []


def test_a_pack_is_read_again_when_its_file_changes(tint: Path, tmp_path: Path) -> None:
    folder = StylePackFolder(tmp_path / "packs")
    assert folder.all() == {}
    path = folder.folder / "dusk.style"
    write_pack(pack_for(tint, "dusk", (20, 40, 0)), path)
    first = folder.all()["dusk"]
    assert folder.all()["dusk"] is first
    write_pack(pack_for(tint, "dusk", (1, 2.5, 3.25)), path)
    os.utime(path, ns=(1, 1))
    assert folder.all()["dusk"].values.tolist() == [1, 2.5, 3.25]
    path.unlink()
    assert folder.all() == {}


def test_a_pack_that_cannot_be_written_leaves_nothing(tint: Path, tmp_path: Path) -> None:
    pack = pack_for(tint, "dusk", (20, 40, 0))
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        write_pack(pack, tmp_path / "file" / "dusk.style")
    fat = pack.model_copy(update={"thumbnail": "/9j/" * 12_000})
    with pytest.raises(ModelError, match="smaller thumbnail"):
        write_pack(fat, tmp_path / "dusk.style")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "tint.onnx"]
