"""What every session must do, over every runtime that runs here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.errors import DeviceLostError, ModelError, ProviderError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.choose import open_session
from obs_stylizer.inference.locate import find_model
from obs_stylizer.inference.native_model import load_native_model
from obs_stylizer.inference.openvino_runtime import best_precision, precisions_of
from obs_stylizer.inference.session import Precision, Provider, Session, SessionOptions
from tests.fakes import models
from tests.inference.conftest import SIZE

RUNTIMES = (Provider.CPU, Provider.OPENVINO)


@pytest.fixture(params=RUNTIMES)
def provider(request: pytest.FixtureRequest) -> Provider:
    chosen: Provider = request.param
    return chosen


def opened(path: Path, provider: Provider, size: FrameSize = SIZE, **options: object) -> Session:
    return open_session(
        load_native_model(path),
        size,
        SessionOptions(provider=provider, **options),  # type: ignore[arg-type]
    )


@pytest.fixture
def invert(tmp_path: Path, provider: Provider) -> Iterator[Session]:
    session = opened(models.write_invert_model(tmp_path / "invert.onnx"), provider)
    yield session
    session.close()


def test_it_says_what_it_runs_on(invert: Session, provider: Provider) -> None:
    assert invert.runs_on.provider is provider
    assert invert.runs_on.device
    assert invert.runs_on.precision in (Precision.F32, Precision.BF16)
    assert invert.runs_on.reason == "asked for"
    assert invert.frame_size == SIZE


def test_every_value_comes_out_as_it_should(invert: Session, frame: Pixels) -> None:
    given = frame.copy()
    stylized = invert.run(frame)
    assert stylized.dtype == np.uint8
    assert stylized.shape == SIZE.shape
    np.testing.assert_array_equal(stylized, 255 - given)
    np.testing.assert_array_equal(frame, given)


def test_frames_in_any_memory_are_taken(invert: Session, frame: Pixels) -> None:
    mirrored = frame[:, ::-1]
    np.testing.assert_array_equal(invert.run(mirrored), 255 - mirrored)
    locked = frame.copy()
    locked.flags.writeable = False
    np.testing.assert_array_equal(invert.run(locked), 255 - locked)


def test_a_frame_is_not_remembered(invert: Session, frame: Pixels) -> None:
    first = invert.run(frame).copy()
    invert.run(255 - frame)
    np.testing.assert_array_equal(invert.run(frame), first)


def test_styles_are_mixed_by_weight(tmp_path: Path, provider: Provider, frame: Pixels) -> None:
    session = opened(models.write_tint_model(tmp_path / "tint.onnx"), provider)
    dark = frame // 4
    for weights in ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5)):
        stylized = session.run(dark, np.array(weights, np.float32))
        tint = np.array(weights) @ np.array(models.TINTS[:2])
        np.testing.assert_array_equal(stylized, dark + tint.astype(np.uint8))


def test_strength_is_passed_on(tmp_path: Path, provider: Provider, frame: Pixels) -> None:
    session = opened(models.write_invert_model(tmp_path / "i.onnx", strength=True), provider)
    np.testing.assert_array_equal(session.run(frame, None, 0.0), frame)
    np.testing.assert_array_equal(session.run(frame, None, 1.0), 255 - frame)
    half = session.run(frame, None, 0.5).astype(int)
    assert np.abs(half - 127.5).max() <= 1


def test_a_run_that_is_cancelled_ends_and_leaves_no_trace(provider: Provider) -> None:
    size = FrameSize(640, 360)
    noise = np.random.default_rng(4).integers(0, 256, size.shape, dtype=np.uint8)
    session = open_session(
        load_native_model(find_model("paintings")), size, SessionOptions(provider=provider)
    )
    session.cancel()
    expected = session.run(noise).copy()
    for _ in range(200):
        cancelling = threading.Timer(0.003, session.cancel)
        cancelling.start()
        try:
            made = session.run(noise)
        except ProviderError:
            break
        finally:
            cancelling.join()
        # It came before the run had begun, or after its end.
        np.testing.assert_array_equal(made, expected)
    else:
        pytest.fail("no run was ended")
    np.testing.assert_array_equal(session.run(noise), expected)
    session.cancel()
    session.close()
    session.cancel()


def test_closing_twice_is_allowed_and_running_afterwards_is_not(
    invert: Session, frame: Pixels
) -> None:
    invert.close()
    invert.close()
    with pytest.raises(ProviderError, match="closed"):
        invert.run(frame)


@pytest.mark.parametrize("size", [FrameSize(16, 16), FrameSize(640, 360), FrameSize(90, 130)])
def test_every_size_is_its_own(tmp_path: Path, provider: Provider, size: FrameSize) -> None:
    session = opened(models.write_invert_model(tmp_path / "i.onnx"), provider, size)
    frame = np.full(size.shape, 20, np.uint8)
    assert session.run(frame).shape == size.shape
    assert (session.run(frame) == 235).all()


def test_a_graph_that_changes_the_size_is_refused(tmp_path: Path, provider: Provider) -> None:
    path = models.write_halving_model(tmp_path / "half.onnx")
    with pytest.raises(ModelError, match=r"a frame of \(1, 48, 64, 3\) comes out as"):
        opened(path, provider)


@pytest.mark.parametrize("options", [{"threads": 1}, {"threads": 2}, {"spin": True}])
def test_threads_and_spinning_do_not_change_the_picture(
    tmp_path: Path, provider: Provider, frame: Pixels, options: dict[str, object]
) -> None:
    path = models.write_convolutional_model(tmp_path / "c.onnx")
    usual = opened(path, provider, precision=Precision.F32).run(frame).astype(int)
    made = opened(path, provider, precision=Precision.F32, **options).run(frame)
    assert np.abs(made - usual).max() <= 1


def test_the_runtimes_agree(tmp_path: Path, frame: Pixels) -> None:
    path = models.write_convolutional_model(tmp_path / "c.onnx", ("a", "b"))
    weights = np.array([0.25, 0.75], np.float32)
    pictures = [
        opened(path, provider, precision=Precision.F32).run(frame, weights).astype(int)
        for provider in RUNTIMES
    ]
    assert pictures[0].std() > 10
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_a_precision_that_a_provider_lacks_is_refused(tmp_path: Path) -> None:
    path = models.write_invert_model(tmp_path / "i.onnx")
    with pytest.raises(ProviderError, match="cpu cannot compute in bf16"):
        opened(path, Provider.CPU, precision=Precision.BF16)
    with pytest.raises(ModelError, match="has no f16 variant"):
        opened(path, Provider.CPU, precision=Precision.F16)


def test_openvino_refuses_what_the_processor_cannot(tmp_path: Path) -> None:
    path = models.write_invert_model(tmp_path / "i.onnx")
    for precision in (Precision.BF16, Precision.F16):
        if precision not in precisions_of("CPU"):
            with pytest.raises(ProviderError, match="cannot compute in"):
                opened(path, Provider.OPENVINO, precision=precision)


def test_openvino_runs_in_bfloat16_where_it_can(tmp_path: Path, frame: Pixels) -> None:
    if Precision.BF16 not in precisions_of("CPU"):
        pytest.skip("this processor has no bfloat16")
    assert best_precision("CPU") is Precision.BF16
    path = models.write_convolutional_model(tmp_path / "c.onnx")
    session = opened(path, Provider.OPENVINO)
    assert session.runs_on.precision is Precision.BF16
    exact = opened(path, Provider.OPENVINO, precision=Precision.F32).run(frame).astype(int)
    assert np.abs(session.run(frame) - exact).mean() < 3


class _FailingRequest:
    """An inference request of OpenVINO's whose device is in trouble."""

    def __init__(self, text: str) -> None:
        self.text = text

    def set_tensor(self, name: str, tensor: object) -> None:
        pass

    def infer(self) -> None:
        raise RuntimeError(
            f"Exception from src/inference/src/cpp/infer_request.cpp:224:\n[GPU] {self.text}"
        )


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("clFinish, error code: CL_DEVICE_NOT_AVAILABLE", DeviceLostError, "CL_DEVICE_NOT"),
        ("CL_OUT_OF_RESOURCES exception", ProviderError, "smaller process size"),
        ("something else", ProviderError, "something else"),
    ],
)
def test_openvinos_failures_are_told_apart(
    tmp_path: Path, frame: Pixels, text: str, kind: type[ProviderError], says: str
) -> None:
    session = opened(models.write_invert_model(tmp_path / "i.onnx"), Provider.OPENVINO)
    session._request = _FailingRequest(text)  # type: ignore[attr-defined]
    with pytest.raises(ProviderError) as caught:
        session.run(frame)
    assert type(caught.value) is kind
    assert says in str(caught.value)


@pytest.mark.parametrize("provider", RUNTIMES)
def test_int8_needs_its_variant_and_then_runs_it(
    tmp_path: Path, provider: Provider, frame: Pixels
) -> None:
    path = models.write_convolutional_model(tmp_path / "c.onnx")
    with pytest.raises(ModelError, match="has no int8 variant"):
        opened(path, provider, precision=Precision.INT8)
    models.write_quantized_variant(path)
    session = opened(path, provider, precision=Precision.INT8)
    assert session.runs_on.precision is Precision.INT8
    exact = opened(path, provider, precision=Precision.F32).run(frame).astype(int)
    difference = np.abs(session.run(frame) - exact).mean()
    assert 0 < difference < 12


def test_an_int8_file_without_int8_layers_is_shown_as_what_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = models.write_invert_model(tmp_path / "i.onnx")
    models.write_invert_model(tmp_path / "i.int8.onnx")
    session = opened(path, Provider.OPENVINO, precision=Precision.INT8)
    assert session.runs_on.precision is not Precision.INT8
    assert "no layer of the int8 file runs in int8" in caplog.text
