"""What OpenVINO compiled is kept, and never believed when it is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.frames import Pixels
from obs_stylizer.inference.choose import open_session
from obs_stylizer.inference.native_model import NativeModel, load_native_model
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from tests.fakes import models
from tests.inference.conftest import SIZE


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> NativeModel:
    path = models.write_convolutional_model(tmp_path_factory.mktemp("model") / "c.onnx")
    models.write_quantized_variant(path)
    return load_native_model(path)


def run(model: NativeModel, frame: Pixels, precision: Precision) -> Pixels:
    options = SessionOptions(provider=Provider.OPENVINO, precision=precision)
    session = open_session(model, SIZE, options)
    assert session.runs_on.precision is precision
    return session.run(frame).copy()


@pytest.mark.parametrize("precision", [Precision.F32, Precision.INT8])
def test_the_second_start_gives_the_same_picture(
    model: NativeModel, frame: Pixels, own_cache: Path, precision: Precision
) -> None:
    first = run(model, frame, precision)
    kept = list((own_cache / "compiled" / "openvino").glob("*.blob"))
    assert len(kept) == 1
    written = kept[0].stat().st_mtime_ns
    np.testing.assert_array_equal(run(model, frame, precision), first)
    assert kept[0].stat().st_mtime_ns == written


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_file_cut_off_by_a_crash_is_made_again(
    model: NativeModel, frame: Pixels, own_cache: Path, share: float
) -> None:
    first = run(model, frame, Precision.F32)
    (kept,) = (own_cache / "compiled" / "openvino").glob("*.blob")
    whole = kept.read_bytes()
    kept.chmod(0o644)
    kept.write_bytes(whole[: int(len(whole) * share)])
    np.testing.assert_array_equal(run(model, frame, Precision.F32), first)
