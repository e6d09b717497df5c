"""The page that shows an evaluation: one HTML file with its pictures inside."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

import cv2

from obs_stylizer.frames import Pixels

PICTURES_A_STYLE = 6

PAGE_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; background: #16181c; color: #e8e8e8; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .3rem .8rem; border-bottom: 1px solid #333; text-align: right; }
td:first-child, th:first-child { text-align: left; }
.pair { display: inline-flex; margin: 0 .6rem .6rem 0; }
.pair img { width: 320px; height: auto; display: block; }
"""


def page_of(
    title: str,
    document: Mapping[str, Any],
    pictures: Mapping[str, Sequence[tuple[Pixels, Pixels]]],
) -> str:
    """Return the page.

    Args:
        title: of the page.
        document: what ``evaluation.json`` holds: ``summary``, ``styles`` and ``speed``.
        pictures: pairs of input and output by style, uint8 (H, W, 3).
    """
    names = sorted({key for figures in document["styles"].values() for key in figures})
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("style", *names))
    rows = "".join(
        f"<tr><td>{html.escape(style)}</td>"
        + "".join(f"<td>{figures[name]:.4g}</td>" if name in figures else "<td>" for name in names)
        + "</tr>"
        for style, figures in document["styles"].items()
    )
    galleries = "".join(
        f"<h2>{html.escape(style)}</h2>"
        + "".join(
            f'<span class="pair">{embedded_picture(before)}{embedded_picture(after)}</span>'
            for before, after in pairs[:PICTURES_A_STYLE]
        )
        for style, pairs in pictures.items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{PAGE_STYLE}</style><h1>{html.escape(title)}</h1>"
        f"<table><tr>{head}</tr>{rows}</table>{_speed(document['speed'])}{galleries}</html>"
    )


def _speed(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of the runtimes, or nothing where none was timed."""
    if not entries:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(entry['runtime'])}</td><td>{html.escape(entry['precision'])}</td>"
        f"<td>{html.escape(entry['frame_size'])}</td>"
        + (
            f"<td>{entry['ms']:.4g}</td><td>{entry['fps']:.4g}</td>"
            if "ms" in entry
            else f'<td colspan="2">{html.escape(entry["not_run"])}</td>'
        )
        + "</tr>"
        for entry in entries
    )
    head = "".join(f"<th>{name}</th>" for name in ("runtime", "precision", "size", "ms", "fps"))
    return f"<h2>Speed on this machine</h2><table><tr>{head}</tr>{rows}</table>"


def embedded_picture(pixels: Pixels) -> str:
    """Return the HTML of a picture, uint8 (H, W, 3), that lies in the page itself."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    data = base64.b64encode(encoded.tobytes()).decode()
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'
