"""Loops to compare with: the bare session, and the loop that most programs of this kind have."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any, Final

import cv2
import numpy as np
import onnx

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.generator import Generator
from obs_stylizer.inference.model_spec import FRAME_INPUT, OUTPUT

_WARM_UP: Final = 5


def bare_loop(generator: Generator, seconds: float) -> float:
    """Return seconds a frame (median) of running the generator and nothing else."""
    chance = np.random.default_rng(0)
    frame: Pixels = chance.integers(0, 256, generator.frame_size.shape, np.uint8)
    styles = generator.style_vector({}) if generator.spec.styles else None
    return _timed(lambda: generator.run(frame, styles, 1.0), seconds)


def usual_loop(
    clip: Path, model: Path, process_size: FrameSize, size: FrameSize, seconds: float
) -> float:
    """Return seconds a frame (median) of the loop that most programs have.

    Read with OpenCV, scale, convert to float, run ONNX Runtime on the CPU with the same
    network in its float form, clip, convert and scale back, one after the other.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(
        float_form(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_inputs()]
    styles = {
        value.name: np.full((1, value.shape[1]), 1 / value.shape[1], np.float32)
        for value in session.get_inputs()[1:]
        if len(value.shape) == 2
    }
    capture = cv2.VideoCapture(str(clip))

    def once() -> None:
        read, frame = capture.read()
        if not read:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            read, frame = capture.read()
        small = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), _pair(process_size))
        tensor = small.astype(np.float32)[None]
        (result,) = session.run(None, {names[0]: tensor, **styles})
        picture = np.clip(result[0], 0, 255).astype(np.uint8)
        cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _pair(size))

    try:
        return _timed(once, seconds)
    finally:
        capture.release()


def float_form(path: Path) -> onnx.ModelProto:
    """Return the same network with float32 in and out, (1, H, W, 3) from 0 to 255.

    The casts that a native generator does for the host are taken out; the rest is as it was.
    """
    model = onnx.load(str(path))
    for value in (*model.graph.input, *model.graph.output):
        if value.name in (FRAME_INPUT, OUTPUT):
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    for node in model.graph.node:
        target = next((a.i for a in node.attribute if a.name == "to"), None)
        if node.op_type == "Cast" and target == onnx.TensorProto.UINT8:
            node.op_type = "Identity"
            del node.attribute[:]
    # What was inferred for the byte tensors no longer holds.
    del model.graph.value_info[:]
    return model


def _pair(size: FrameSize) -> tuple[int, int]:
    return (size.width, size.height)


def _timed(once: Any, seconds: float) -> float:
    for _ in range(_WARM_UP):
        once()
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        once()
        times.append(time.perf_counter() - began)
    return median(times)
