"""Our pictures beside another method's, of the same photographs in the same styles."""

from __future__ import annotations

import html
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training.evaluation import Impression, Painter, StyleMetric
from obs_stylizer.training.pictures import find_pictures, read_picture
from obs_stylizer.training.report import PAGE_STYLE, embedded_picture
from obs_stylizer.training.run_directory import write_atomically

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OtherPicture:
    """A picture that another method made.

    Attributes:
        photo: the photograph it was made of.
        style: ours, that it is compared with.
        path: the picture.
    """

    photo: Path
    style: str
    path: Path


@dataclass(frozen=True)
class Compared:
    """One photograph in one style, by both methods; pictures are uint8 (H, W, 3) of one size."""

    other: OtherPicture
    photo: Pixels
    ours: Pixels
    theirs: Pixels
    figures: dict[str, tuple[float, float]]
    """Ours and theirs by the name of the figure."""


def find_others(folder: Path, styles: Sequence[str]) -> list[OtherPicture]:
    """Find the pictures in ``folder`` that are named ``PHOTO_STYLE``, beside ``PHOTO``.

    STYLE is one of ours, or what makes clear which is meant: ``wave`` for ``great-wave``,
    ``the_scream`` for ``scream``. What fits no photograph or no style is named in the log.

    Raises:
        TrainingError: there are none.
    """
    paths = find_pictures(folder)
    found = []
    for path in paths:
        photos = [
            other
            for other in paths
            if other != path and re.match(re.escape(other.stem) + "[_.-]", path.stem)
        ]
        if not photos:
            continue
        photo = max(photos, key=lambda other: len(other.stem))
        word = path.stem[len(photo.stem) + 1 :]
        style = _style_meant(word, styles)
        if style is None:
            logger.warning("%s: no style of ours is called %s, so it is left out", path.name, word)
            continue
        found.append(OtherPicture(photo, style, path))
    if not found:
        raise TrainingError(
            f"{folder} holds no pictures to compare with",
            "put photographs there, and beside each PHOTO.jpg what the other method made of it, as "
            f"PHOTO_STYLE.jpg; the styles are {', '.join(styles)}",
        )
    return found


def compare(
    painter: Painter,
    multiple: int,
    paintings: Mapping[str, Pixels],
    others: Sequence[OtherPicture],
    metrics: Mapping[str, StyleMetric],
) -> list[Compared]:
    """Measure our pictures and theirs.

    Args:
        painter: our generator.
        multiple: what the sides of its frames are multiples of; the rest is cut off, of all.
        paintings: the picture of each style, in the order of the style vector.
        others: their pictures; one of another size is scaled to the photograph's.
        metrics: style metrics by the name of their figure; content is that of the first.

    Raises:
        TrainingError: a picture cannot be read, or is smaller than ``multiple``.
    """
    names = list(paintings)
    made = []
    # One photograph is compared in many styles.
    sources: dict[tuple[str, Path], Impression] = {}
    for other in others:
        photo = read_picture(other.photo)
        theirs = read_picture(other.path)
        if theirs.shape != photo.shape:
            size = (photo.shape[1], photo.shape[0])
            theirs = np.asarray(cv2.resize(theirs, size, interpolation=cv2.INTER_AREA), np.uint8)
        height, width = (side - side % multiple for side in photo.shape[:2])
        if not height or not width:
            raise TrainingError(f"{other.photo} is smaller than {multiple}x{multiple}")
        photo, theirs = (np.array(p[:height, :width]) for p in (photo, theirs))
        mix = np.eye(len(names), dtype=np.float32)[names.index(other.style)]
        ours = painter(photo, mix)
        figures: dict[str, tuple[float, float]] = {}
        for name, metric in metrics.items():
            if (name, other.photo) not in sources:
                sources[name, other.photo] = metric.examine(photo)
            source, style = sources[name, other.photo], metric.examine(paintings[other.style])
            seen = [metric.examine(picture) for picture in (ours, theirs)]
            ratios = [metric.style_ratio(one, source, style) for one in seen]
            figures[name] = (ratios[0], ratios[1])
            if "content_kept" not in figures:
                kept = [metric.content_kept(one, source) for one in seen]
                figures["content_kept"] = (kept[0], kept[1])
        made.append(Compared(other, photo, ours, theirs, figures))
    return made


def write_comparison(
    folder: Path, title: str, compared: Sequence[Compared], paintings: Mapping[str, Pixels]
) -> Path:
    """Write ``beside.json`` and ``beside.html`` to ``folder``; return the page's path.

    Raises:
        TrainingError: they cannot be written.
    """
    rows = [
        {
            "photo": entry.other.photo.name,
            "style": entry.other.style,
            "other": entry.other.path.name,
            **{
                name: {"ours": round(ours, 4), "theirs": round(theirs, 4)}
                for name, (ours, theirs) in entry.figures.items()
            },
        }
        for entry in compared
    ]
    sections = "".join(
        f"<h2>{html.escape(entry.other.style)}</h2><p>"
        + "; ".join(
            f"{html.escape(name)} {ours:.3f}, theirs {theirs:.3f}"
            for name, (ours, theirs) in entry.figures.items()
        )
        + '</p><div class="row">'
        + "".join(
            f"<figure>{embedded_picture(picture)}<figcaption>{caption}</figcaption></figure>"
            for caption, picture in (
                ("photograph", entry.photo),
                ("ours", entry.ours),
                ("theirs", entry.theirs),
                ("painting", paintings[entry.other.style]),
            )
        )
        + "</div>"
        for entry in compared
    )
    page = folder / "beside.html"
    style = PAGE_STYLE + ".row { display: flex; flex-wrap: wrap; } figure { margin: 0 .6rem 0 0; }"
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{style}</style><h1>{html.escape(title)}</h1>{sections}</html>"
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "beside.json", json.dumps(rows, indent=2).encode())
        write_atomically(page, text.encode())
    except OSError as cause:
        raise TrainingError(f"{folder} cannot be written: {cause.strerror or cause}") from cause
    return page


def _style_meant(word: str, styles: Sequence[str]) -> str | None:
    """Return the style that ``word`` names or is a part of, or None where none or several are."""
    name = re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")
    if name in styles:
        return name
    parts = set(name.split("-")) - {"the", "a", "of"}
    likely = [s for s in styles if parts & set(s.split("-")) or any(p in s for p in parts)]
    return likely[0] if len(likely) == 1 else None
