"""Fixtures of the inference tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference import cache, plugins
from obs_stylizer.inference.onnx_runtime import onnx_runtime
from tests.fakes import onnxruntime as fake_onnxruntime

SIZE = FrameSize(64, 48)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that no other test has written to."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(cache, "cache_folder", lambda: folder)
    return folder


@pytest.fixture
def frame() -> Pixels:
    """Noise, so that every value and position counts."""
    return np.random.default_rng(3).integers(0, 256, SIZE.shape, dtype=np.uint8)


@pytest.fixture
def fake_runtime(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., fake_onnxruntime.FakeOnnxRuntime]]:
    """Call it with names of providers to have an ONNX Runtime that pretends them."""
    yield lambda *providers: fake_onnxruntime.install(monkeypatch, *providers)
    monkeypatch.undo()
    onnx_runtime.cache_clear()
    plugins._register.cache_clear()
