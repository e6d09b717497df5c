"""Evaluation: figures that say how good a generator is, on pictures it was not trained on.

* ``style_ratio``: mean over VGG-19's conv1_2, conv2_2, conv3_1 and conv3_3 of
  |Gram(y) - Gram(s)| / |Gram(x) - Gram(s)| for output y, style s and input x. 1 is no style at
  all, 0 the style's own statistics.
* ``broad_style_ratio``: the same with VGG-16's conv1_2, conv2_2, conv3_3 and conv4_1, and all
  three pictures at half the size: broad strokes and planes.
* ``content_kept``: cosine of the mean-removed conv3_1 features of output and input.
* ``warp_error``: mean |y_t - warp(y_{t-1})|, 0 to 1, where the optical flow of the source agrees
  forwards and backwards; ``source_warp_error`` is the source's own.
* ``warp_error_on_air``, ``sharpness_kept``, ``psnr_every_2`` and the like: what is on air, by
  :mod:`obs_stylizer.motion.measures`.
* ``psnr``, ``ssim``, ``ms_ssim``: similarity to a known target; with ``_before``, that of the
  source; with ``_cycle``, that of a source to what comes back of it from the other domain.
* ``noise_error`` and ``source_noise_error``: mean difference of a still picture's outputs, and
  inputs, under fresh camera noise.
* ``ms_640x360``: median time of a frame of what was measured, a run in torch, a model in ONNX
  Runtime; the table ``speed`` has every runtime and number format of this machine.
"""

from __future__ import annotations

import itertools
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.motion.measures import motion_figures
from obs_stylizer.training.features import Vgg19
from obs_stylizer.training.flow import warp_error
from obs_stylizer.training.image_metrics import ms_ssim, psnr, ssim
from obs_stylizer.training.losses.perceptual import content_similarity, gram_matrix
from obs_stylizer.training.losses.style_scales import shrink
from obs_stylizer.training.pictures import fit_frame
from obs_stylizer.training.run_directory import write_atomically
from obs_stylizer.training.speed import Speed
from obs_stylizer.training.tensors import to_tensor

logger = logging.getLogger(__name__)

_LEAST_FRAMES: Final = 6

FRAME_SIZE: Final = FrameSize(640, 360)
CONTENT_LAYER: Final = "conv3_1"
CAMERA_NOISE: Final = 0.02

Mix = NDArray[np.float32]
Painter = Callable[[Pixels, Mix | None], Pixels]
"""Turns a frame, uint8 (H, W, 3), with a style vector (S,) or None."""


@dataclass
class StyleFigures:
    """What was measured for one style; pictures are pairs of input and output."""

    figures: dict[str, float] = field(default_factory=dict)
    pictures: list[tuple[Pixels, Pixels]] = field(default_factory=list)


@dataclass(frozen=True)
class Impression:
    """What the features make of a picture: a Gram matrix for each style layer, and content."""

    grams: tuple[Tensor, ...]
    content: Tensor


class StyleMetric:
    """Measures style and content against fixed features.

    Args:
        features: VGG-19 or VGG-16.
        layers: the layers that style is measured on.
        scale: size that every picture is brought to first, as a share of its own.
    """

    def __init__(self, features: Vgg19, layers: Sequence[str], scale: float = 1.0) -> None:
        self._features = features
        self._layers = tuple(layers)
        self._scale = scale

    @torch.no_grad()
    def examine(self, picture: Pixels) -> Impression:
        """Return the impression of ``picture``, uint8 (H, W, 3)."""
        seen = shrink(to_tensor([picture]), self._scale)
        found = self._features(seen, {*self._layers, CONTENT_LAYER})
        grams = tuple(gram_matrix(found[layer]) for layer in self._layers)
        return Impression(grams, found[CONTENT_LAYER])

    def style_ratio(self, made: Impression, source: Impression, style: Impression) -> float:
        """Return the style ratio; the pictures may have any sizes."""
        ratios = [
            float((of_made - of_style).norm() / (of_source - of_style).norm())
            for of_made, of_source, of_style in zip(
                made.grams, source.grams, style.grams, strict=True
            )
        ]
        return float(np.mean(ratios))

    def content_kept(self, made: Impression, source: Impression) -> float:
        """Return the cosine, -1 to 1; both pictures are of one size."""
        return float(content_similarity(made.content, source.content))


def evaluate_styles(
    painter: Painter,
    styles: Mapping[str, Pixels],
    style_metric: StyleMetric,
    pictures: Sequence[Pixels],
    clips: Sequence[Sequence[Pixels]] = (),
    broad_metric: StyleMetric | None = None,
) -> dict[str, StyleFigures]:
    """Measure ``painter`` in each of its styles.

    Args:
        painter: the generator.
        styles: style picture by name, in the order of the style vector, each at the size it was
            trained with.
        style_metric: for ``style_ratio`` and ``content_kept``.
        pictures: held-out pictures, uint8 (height, width, 3).
        clips: frames of real clips, each uint8 of one size.
        broad_metric: for ``broad_style_ratio``; None leaves it out.

    Returns:
        Figures and pictures by style.

    Raises:
        TrainingError: there are no pictures.
    """
    if not pictures:
        raise TrainingError("there are no pictures to evaluate on", "name some with --content")
    result: dict[str, StyleFigures] = {}
    frames = [fit_frame(picture, FRAME_SIZE) for picture in pictures]
    sources = [style_metric.examine(frame) for frame in frames]
    broad_sources = [broad_metric.examine(frame) for frame in frames] if broad_metric else []
    source_clips = [[fit_frame(frame, FRAME_SIZE) for frame in clip] for clip in clips]
    for mix, (name, style) in zip(
        np.eye(len(styles), dtype=np.float32), styles.items(), strict=True
    ):
        entry = result[name] = StyleFigures()
        made = [painter(frame, mix) for frame in frames]
        entry.pictures = list(zip(frames, made, strict=True))
        wanted, seen = (
            style_metric.examine(style),
            [style_metric.examine(picture) for picture in made],
        )
        pairs = list(zip(seen, sources, strict=True))
        ratios = [style_metric.style_ratio(output, source, wanted) for output, source in pairs]
        kept = [style_metric.content_kept(output, source) for output, source in pairs]
        entry.figures["style_ratio"] = float(np.mean(ratios))
        entry.figures["content_kept"] = float(np.mean(kept))
        if broad_metric is not None:
            broad = broad_metric.examine(style)
            entry.figures["broad_style_ratio"] = float(
                np.mean(
                    [
                        broad_metric.style_ratio(broad_metric.examine(output), source, broad)
                        for output, source in zip(made, broad_sources, strict=True)
                    ]
                )
            )
        entry.figures |= _noise_figures(painter, mix, frames[0])
        moving = [(clip, [painter(frame, mix) for frame in clip]) for clip in source_clips]
        if moving:
            entry.figures |= _moving_figures(moving)
        entry.figures["ms_640x360"] = _milliseconds(painter, mix, frames[0])
        logger.info("%s: %s", name, entry.figures)
    return result


def evaluate_pairs(
    painter: Painter,
    pairs: Sequence[tuple[Pixels, Pixels | None]],
    clips: Sequence[Sequence[Pixels]] = (),
    back: Painter | None = None,
) -> StyleFigures:
    """Measure ``painter`` against known targets.

    Args:
        painter: the generator.
        pairs: source and target, uint8 (H, W, 3) of one size; None where no target is known.
        clips: frames of real clips.
        back: leads from an output back to its source; then that is compared, not the output.

    Raises:
        TrainingError: there are no pairs.
    """
    if not pairs:
        raise TrainingError("there are no pictures to evaluate on", "name some with --content")
    entry = StyleFigures()
    metrics: dict[str, list[float]] = {}
    for source, target in pairs:
        made = painter(source, None)
        entry.pictures.append((source, made))
        if target is None:
            continue
        wanted = to_tensor([target])
        compared = {"": made, "_before": source} if back is None else {"_cycle": back(made, None)}
        for suffix, picture in compared.items():
            for measure in (psnr, ssim, ms_ssim):
                found = float(measure(to_tensor([picture]), wanted))
                metrics.setdefault(measure.__name__ + suffix, []).append(found)
    entry.figures |= {name: float(np.mean(values)) for name, values in metrics.items()}
    entry.figures |= _noise_figures(painter, None, pairs[0][0])
    if clips:
        frames = [[fit_frame(frame, FRAME_SIZE) for frame in clip] for clip in clips]
        moving = [(clip, [painter(frame, None) for frame in clip]) for clip in frames]
        entry.figures |= _moving_figures(moving)
    entry.figures["ms_640x360"] = _milliseconds(painter, None, pairs[0][0])
    return entry


def _moving_figures(
    clips: Sequence[tuple[Sequence[Pixels], Sequence[Pixels]]],
) -> dict[str, float]:
    """Return what is measured on clips and what was made of their frames, as means over them."""
    errors = [warp_error(clip, made) for clip, made in clips]
    figures = {
        "warp_error": float(np.mean([error[0] for error in errors])),
        "source_warp_error": float(np.mean([error[1] for error in errors])),
    }
    # What coherence and reprojection make of them; each needs frames between key pictures.
    long = [motion_figures(clip, made) for clip, made in clips if len(clip) >= _LEAST_FRAMES]
    if long:
        names = [name for name in long[0] if name not in figures]
        figures |= {name: float(np.mean([found[name] for found in long])) for name in names}
    return figures


def summarise(found: Mapping[str, StyleFigures]) -> dict[str, float]:
    """Return the median of every figure over the styles, and the worst of the styles'."""
    names = next(iter(found.values())).figures
    summary = {
        name: float(np.median([entry.figures[name] for entry in found.values()])) for name in names
    }
    if "style_ratio" in names:
        summary["style_ratio_worst"] = max(e.figures["style_ratio"] for e in found.values())
        summary["content_kept_worst"] = min(e.figures["content_kept"] for e in found.values())
    return {name: round(value, 4) for name, value in summary.items()}


def write_report(
    folder: Path, title: str, found: Mapping[str, StyleFigures], speed: Sequence[Speed] = ()
) -> Path:
    """Write ``evaluation.json`` and ``evaluation.html`` to ``folder``; return the page's path.

    Raises:
        TrainingError: they cannot be written.
    """
    from obs_stylizer.training.report import page_of

    document: dict[str, Any] = {
        "title": title,
        "summary": summarise(found),
        "styles": {
            name: {key: round(value, 5) for key, value in entry.figures.items()}
            for name, entry in found.items()
        },
        "speed": [entry.as_dict() for entry in speed],
    }
    page = folder / "evaluation.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "evaluation.json", json.dumps(document, indent=2).encode())
        pictures = {name: entry.pictures for name, entry in found.items()}
        write_atomically(page, page_of(title, document, pictures).encode())
    except OSError as cause:
        raise TrainingError(f"{folder} cannot be written: {cause.strerror or cause}") from cause
    return page


def read_clip(path: Path, frames: int) -> list[Pixels]:
    """Return ``frames`` consecutive frames from the middle of a video file.

    Clips often begin with a title or with nothing moving.

    Returns:
        uint8 (height, width, 3) each; all there are where the file holds fewer.

    Raises:
        TrainingError: it cannot be opened or holds fewer than two frames.
    """
    import av

    found: list[Pixels] = []
    try:
        with av.open(str(path)) as container:
            count = sum(1 for _ in container.decode(video=0))
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number < (count - frames) // 2:
                    continue
                found.append(np.ascontiguousarray(frame.to_ndarray(format="rgb24"), np.uint8))
                if len(found) == frames:
                    break
    except (OSError, IndexError, av.error.FFmpegError) as cause:
        raise TrainingError(f"the clip {path} cannot be read: {cause}") from cause
    if len(found) < 2:
        raise TrainingError(f"the clip {path} has fewer than two frames")
    return found


def _noise_figures(painter: Painter, mix: Mix | None, frame: Pixels) -> dict[str, float]:
    """Return how much a still picture's outputs differ under fresh camera noise."""
    noisy = list(_camera_noise(frame, 4))
    made = [painter(picture, mix) for picture in noisy]
    return {
        "noise_error": _mean_change(made),
        "source_noise_error": _mean_change(noisy),
    }


def _camera_noise(frame: Pixels, count: int) -> Iterator[Pixels]:
    random = np.random.default_rng(0)
    for _ in range(count):
        noise = random.normal(0, 255 * CAMERA_NOISE, frame.shape)
        yield np.clip(frame + noise + 0.5, 0, 255).astype(np.uint8)


def _mean_change(pictures: Sequence[Pixels]) -> float:
    pairs = itertools.pairwise(pictures)
    return float(np.mean([np.abs(a.astype(np.float32) - b).mean() / 255 for a, b in pairs]))


def _milliseconds(painter: Painter, mix: Mix | None, frame: Pixels) -> float:
    """Return the median time of a frame."""
    times = []
    for _ in range(7):
        started = time.perf_counter()
        painter(frame, mix)
        times.append(time.perf_counter() - started)
    return float(np.median(times) * 1e3)
