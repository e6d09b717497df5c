"""Evaluation of a mask network on composites it was not trained on.

* ``iou_exact``: intersection over union with the composites' own alpha, at one half; mean over
  frames with one person, and with two; ``iou_exact_median`` their median.
* ``iou_teacher``: the same with what the published teacher sees in the composite, and
  ``teacher_iou_exact``, how near the teacher itself comes to the alpha.
* ``iou_teacher_right``: with the teacher where it comes within :data:`RIGHT` of the alpha (where it
  takes a still life for a person nobody should follow it); ``teacher_right``: how often that is.
* ``iou_portraits``: with the careful teacher, on held-out photographs as they are.
* ``boundary_f``: F-measure of the edges, which count as met within two pixels of the mask's.
* ``marked_without_people``: share of pixels over one half in frames with nobody in them.
* ``marked_on_air_without_people``: the same of what is left once only what the network is sure of
  is kept.
* ``flicker``: mean change of the calm mask from frame to frame where only camera noise changes.
* ``flicker_on_clips``: mean difference from the mask before, carried along the motion, where that
  is known.
* ``ms_256x144``: median time of a frame in ONNX Runtime, on all cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.model_spec import FRAME_INPUT, MASK_OUTPUT
from obs_stylizer.motion.carrying import Carrier
from obs_stylizer.motion.flow import MotionEstimator
from obs_stylizer.segmentation.person_mask import PersonMask
from obs_stylizer.training.evaluation import (
    CAMERA_NOISE,
    StyleFigures,
    read_clip,
    summarise,
    write_report,
)
from obs_stylizer.training.objectives.segmentation import SegmentationObjective
from obs_stylizer.training.pictures import fit_frame
from obs_stylizer.training.recipe import Recipe, load_recipe
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.segmentation.composites import MaskSample
from obs_stylizer.training.segmentation.export import trained_mask_network

Floats = NDArray[np.float32]
Masker = Callable[[Pixels], Pixels]
"""Turns a frame, uint8 (H, W, 3), into a mask, uint8 (H, W)."""

SIZE: Final = FrameSize(256, 144)
RIGHT: Final = 0.9
"""Intersection over union with the alpha from which on the teacher counts as right."""
_LARGE: Final = FrameSize(640, 360)
_NEAR: Final = 2
_STILL_FRAMES: Final = 12
_SETTLED: Final = 4
_TIMED: Final = 20


class _Network:
    """A mask network as :class:`PersonMask` takes it."""

    def __init__(self, masker: Masker) -> None:
        self.size = SIZE
        self.run = masker


def is_mask_recipe(target: Path) -> bool:
    """Whether a run directory, or a model with its recipe beside it, is of a mask network."""
    recipe = target / "recipe.yaml" if target.is_dir() else target.with_suffix(".yaml")
    return recipe.is_file() and load_recipe(recipe).segmentation is not None


def evaluate_mask(
    target: Path, output: Path, clips: Sequence[Path], pictures: int, frames: int
) -> tuple[Path, dict[str, float]]:
    """Evaluate a run directory, or a model with its recipe beside it.

    Args:
        target: which.
        output: folder for the report.
        clips: video files.
        pictures: composites of each kind.
        frames: how many frames of each clip.

    Returns:
        The page, and the figures.

    Raises:
        TrainingError: the run, its pictures or the teacher cannot be used.
    """
    recipe, masker = _open(target)
    objective = SegmentationObjective(recipe, torch.device("cpu"))
    entry = StyleFigures()
    figures = entry.figures
    kinds = [objective.held_out_samples(pictures, SIZE, people) for people in (1, 2)]
    samples = [sample for kind in kinds for sample in kind if sample.alpha.max() > 127]
    found = [masker(sample.frame) for sample in samples]
    taught = [_bytes(objective.teacher.mask(sample.frame)) for sample in samples]
    exact = [sample.alpha for sample in samples]
    true = list(map(overlap, found, exact))
    figures["iou_exact"] = _mean(true)
    figures["iou_exact_median"] = float(np.median(true))
    alike, right = list(map(overlap, found, taught)), list(map(overlap, taught, exact))
    figures["iou_teacher"] = _mean(alike)
    figures["teacher_iou_exact"] = _mean(right)
    figures["teacher_iou_exact_median"] = float(np.median(right))
    agreed = [value for value, share in zip(alike, right, strict=True) if share >= RIGHT]
    figures["teacher_right"] = len(agreed) / max(1, len(alike))
    figures["iou_teacher_right"] = _mean(agreed or [0.0])
    figures["boundary_f"] = _mean(map(boundary_f, found, exact))
    entry.pictures = [
        (sample.frame, _on_green(sample, mask)) for sample, mask in zip(samples, found, strict=True)
    ][:: max(1, len(samples) // 12)]
    photographs = [
        (fit_frame(entry.photograph, SIZE), entry.photograph) for entry in objective.held_out.people
    ]
    figures["iou_portraits"] = _mean(
        overlap(masker(frame), _careful(objective, photograph)) for frame, photograph in photographs
    )
    empty = objective.held_out_samples(pictures, SIZE, 0)
    figures["marked_without_people"] = _mean(
        float((masker(sample.frame) > 127).mean()) for sample in empty
    )
    figures["marked_on_air_without_people"] = _mean(
        float((PersonMask(_Network(masker)).find(sample.frame) > 0.5).mean()) for sample in empty
    )
    figures["flicker"] = _mean(_flicker(masker, photo) for _, photo in photographs[:4])
    if clips:
        figures["flicker_on_clips"] = _mean(
            _clip_flicker(masker, read_clip(clip, frames)) for clip in clips
        )
    figures["ms_256x144"] = _milliseconds(masker, samples[0].frame)
    page = write_report(output, recipe.title or recipe.name, {"people": entry})
    return page, summarise({"people": entry})


def overlap(one: Pixels, other: Pixels) -> float:
    """Return the intersection over union of two masks at one half; 1 where both are empty."""
    first, second = one > 127, other > 127
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 1.0


def boundary_f(found: Pixels, exact: Pixels) -> float:
    """Return the F-measure of the edge pixels of two masks, within two pixels of each other."""
    first, second = _edge(found), _edge(exact)
    if not first.any() or not second.any():
        return float(first.any() == second.any())
    kernel = np.ones((2 * _NEAR + 1,) * 2, np.uint8)
    precision = float((first & cv2.dilate(second, kernel)).sum() / first.sum())
    recall = float((second & cv2.dilate(first, kernel)).sum() / second.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _open(target: Path) -> tuple[Recipe, Masker]:
    if target.is_dir():
        run = RunDirectory.open(target)
        network = trained_mask_network(run)

        @torch.inference_mode()
        def of_run(frame: Pixels) -> Pixels:
            made: Pixels = network(torch.from_numpy(frame[None]))[0, ..., 0].numpy()
            return made

        return run.recipe, of_run
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])

    def of_file(frame: Pixels) -> Pixels:
        made: Pixels = session.run([MASK_OUTPUT], {FRAME_INPUT: frame[None]})[0][0, ..., 0]
        return made

    return load_recipe(target.with_suffix(".yaml")), of_file


def _careful(objective: SegmentationObjective, photograph: Pixels) -> Pixels:
    """Return what the teacher sees in a whole photograph, cut as the frame is."""
    mask = _bytes(objective.teacher.careful_mask(photograph))
    return np.ascontiguousarray(fit_frame(cv2.merge([mask, mask, mask]), SIZE)[..., 0])


def _flicker(masker: Masker, photograph: Pixels) -> float:
    frame = fit_frame(photograph, _LARGE)
    random = np.random.default_rng(0)
    mask = PersonMask(_Network(masker))
    masks = []
    for _ in range(_STILL_FRAMES):
        noise = random.normal(0, 255 * CAMERA_NOISE, frame.shape)
        noisy: Pixels = np.clip(frame + noise + 0.5, 0, 255).astype(np.uint8)
        masks.append(mask.refine(noisy, mask.find(noisy)).astype(np.float32) / 255)
    return float(np.abs(np.diff(masks[_SETTLED:], axis=0)).mean())


def _clip_flicker(masker: Masker, frames: Sequence[Pixels]) -> float:
    mask, estimator, carrier = PersonMask(_Network(masker)), MotionEstimator(), Carrier(SIZE)
    changes: list[float] = []
    last: Floats | None = None
    for frame in frames:
        small = fit_frame(frame, _LARGE)
        motion = estimator.observe(small)
        found = mask.find(small, motion)
        if last is not None and not motion.cut:
            places = carrier.places(motion.back)
            carried = cv2.remap(last, places, None, cv2.INTER_LINEAR)
            known = carrier.widen(motion.confidence)
            changes.append(float((np.abs(found - carried) * known).sum() / max(known.sum(), 1)))
        last = found
    return _mean(changes)


def _milliseconds(masker: Masker, frame: Pixels) -> float:
    times = []
    for _ in range(_TIMED):
        started = time.perf_counter()
        masker(frame)
        times.append(time.perf_counter() - started)
    return float(np.median(times) * 1e3)


def _edge(mask: Pixels) -> NDArray[np.uint8]:
    person = (mask > 127).astype(np.uint8)
    return np.asarray(person - cv2.erode(person, np.ones((3, 3), np.uint8)), np.uint8)


def _bytes(mask: Floats) -> Pixels:
    made: Pixels = (np.clip(mask, 0, 1) * 255 + 0.5).astype(np.uint8)
    return made


def _on_green(sample: MaskSample, mask: Pixels) -> Pixels:
    share = mask[..., None] / np.float32(255)
    mixed = sample.frame * share + np.array([0, 255, 0], np.float32) * (1 - share)
    return np.asarray(mixed + 0.5, np.uint8)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
