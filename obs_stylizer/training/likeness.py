"""How like a native generator's pictures are to those of a variant that computes less exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.model_spec import (
    FRAME_INPUT,
    OUTPUT,
    STYLE_INPUT,
    ModelSpec,
    spec_of,
)
from obs_stylizer.training.pictures import fit_frame

Feeds = dict[str, Any]
_SIZE: Final = FrameSize(640, 360)


def psnr_by_style(
    model: Path, variant: Callable[[Feeds], Any], pictures: Sequence[Pixels]
) -> dict[str, float]:
    """Return the PSNR in decibels of a variant's pictures against those of ``model``.

    Args:
        model: a float native generator, which runs in ONNX Runtime.
        variant: gives the picture, uint8 (1, H, W, 3), for a generator's inputs by name.
        pictures: uint8 (H, W, 3).

    Returns:
        By style, or under the generator's name where it has none.
    """
    spec = spec_of(onnx.load(model), model)
    reference = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    errors: dict[str, list[float]] = {}
    for picture in pictures:
        for name, feeds in feeds_of(picture, spec):
            wanted = reference.run([OUTPUT], feeds)[0].astype(np.float32)
            made = variant(feeds).astype(np.float32)
            errors.setdefault(name, []).append(float(np.square(made - wanted).mean()))
    return {
        name: float(10 * np.log10(255**2 / max(float(np.mean(values)), 1e-9)))
        for name, values in errors.items()
    }


def feeds_of(picture: Pixels, spec: ModelSpec) -> Iterator[tuple[str, Feeds]]:
    """Give a name and the inputs for ``picture``, uint8 (H, W, 3), once in each style."""
    frame = fit_frame(picture, _SIZE)[None]
    if not spec.styles:
        yield spec.name, {FRAME_INPUT: frame}
    for name, mix in zip(spec.styles, np.eye(len(spec.styles), dtype=np.float32), strict=True):
        yield name, {FRAME_INPUT: frame, STYLE_INPUT: mix[None]}
