"""Every GPU of the machine that runs the tests, against its CPU. Skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.inference.adapters import Adapter, AdapterKind
from obs_stylizer.inference.choose import open_session
from obs_stylizer.inference.native_model import load_native_model
from obs_stylizer.inference.providers import list_providers
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from tests.fakes import models
from tests.inference.conftest import SIZE


def gpus() -> list[Adapter]:
    return [
        adapter
        for info in list_providers()
        for adapter in info.adapters
        if info.provider not in (Provider.CPU, Provider.TENSORRT)
        and (info.provider is not Provider.OPENVINO or adapter.kind is AdapterKind.GPU)
    ]


def test_every_gpu_gives_the_pictures_of_the_cpu(tmp_path: Path) -> None:
    found = gpus()
    if not found:
        pytest.skip("this machine has no GPU that a provider here can use")
    path = models.write_convolutional_model(tmp_path / "c.onnx", ("a", "b"))
    model = load_native_model(path)
    random = np.random.default_rng(11)
    frames = [random.integers(0, 256, SIZE.shape, dtype=np.uint8) for _ in range(3)]
    weights = [np.array([share, 1 - share], np.float32) for share in (0.0, 0.3, 1.0)]
    exact = open_session(model, SIZE, SessionOptions(Provider.CPU))
    for adapter in found:
        options = SessionOptions(adapter.provider, str(adapter.index))
        session = open_session(model, SIZE, options)
        assert session.runs_on.provider is adapter.provider
        tolerance = 1 if session.runs_on.precision is Precision.F32 else 8
        for frame, style in zip(frames, weights, strict=True):
            difference = np.abs(
                session.run(frame, style).astype(int) - exact.run(frame, style).astype(int)
            )
            assert difference.max() <= tolerance, adapter
        session.close()
