"""Loops to compare with: the bare session, and the loop that most programs of this kind have."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any, Final

import cv2
import numpy as np
import onnx
from onnx.utils import Extractor

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.generator import Generator
from obs_stylizer.inference.model_spec import FRAME_INPUT, OUTPUT

_WARM_UP: Final = 5
_HOST_INPUT: Final = {"Cast", "Transpose", "Mul", "Div", "Sub", "Add"}
_HOST_OUTPUT: Final = {"Cast", "Transpose", "Mul", "Div", "Sub", "Add", "Clip", "Round", "Floor"}


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
        tensor = np.transpose(small.astype(np.float32) / 255.0, (2, 0, 1))[None]
        (result,) = session.run(None, {names[0]: tensor, **styles})
        picture = np.clip(np.transpose(result[0], (1, 2, 0)) * 255.0, 0, 255).astype(np.uint8)
        cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _pair(size))

    try:
        return _timed(once, seconds)
    finally:
        capture.release()


def float_form(path: Path) -> onnx.ModelProto:
    """Return the network inside a native generator, with float NCHW 0 to 1 in and out.

    What the native graph does for the host (casting, scaling, layout) is cut off at both ends.

    Raises:
        ModelError: the graph does not begin and end in that way.
    """
    model = onnx.load(str(path))
    readers: dict[str, list[Any]] = {}
    makers: dict[str, Any] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
        for name in node.output:
            makers[name] = node
    start = FRAME_INPUT
    while len(readers.get(start, [])) == 1 and readers[start][0].op_type in _HOST_INPUT:
        start = readers[start][0].output[0]
    end = OUTPUT
    while end in makers and makers[end].op_type in _HOST_OUTPUT:
        end = makers[end].input[0]
    if start == FRAME_INPUT or end == OUTPUT:
        raise ModelError(f"{path}: has no host part to cut off")
    others = [value.name for value in model.graph.input if value.name != FRAME_INPUT]
    inferred = onnx.shape_inference.infer_shapes(model)
    return Extractor(inferred).extract_model([start, *others], [end])


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
