"""What is in the file that a filter in OBS and the daemon share.

A header of 4096 bytes, then three slots for pictures from OBS and three for the answers, each of
``slot_bytes``. Pixels are RGBA, 8 bits, sRGB, the top row first, premultiplied by their alpha. All
numbers are little endian, and 32-bit integers or 64-bit floats, since OBS's Lua has no others.
``installer/obs/obs-stylizer-filter.lua`` has the same layout; whoever changes one changes both and
:data:`VERSION`. Magic and the two versions stay where they are in every version.
"""

from __future__ import annotations

from typing import Final

import numpy as np

MAGIC: Final = b"OBSTYLZR"
VERSION: Final = 1
HEADER_BYTES: Final = 4096
SLOTS: Final = 3
NONE: Final = 99
"""In place of a slot's number: no slot."""

LEAST_SIDE: Final = 16
MOST_SIDE: Final = 8192
MOST_SLOT_BYTES: Final = MOST_SIDE * MOST_SIDE * 4
BYTES_PER_PIXEL: Final = 4
PAGE: Final = 4096

SLOT: Final = np.dtype(
    [
        ("begun", "<u4"),
        ("finished", "<u4"),
        ("sequence", "<u4"),
        ("width", "<u4"),
        ("height", "<u4"),
        ("stride", "<u4"),
        ("stamp", "<f8"),
        ("unused", "<u4", 8),
    ]
)
CHANNEL: Final = np.dtype(
    [
        ("newest", "<u4"),
        ("reading", "<u4"),
        ("published", "<u4"),
        ("unused", "<u4", 13),
        ("slots", SLOT, SLOTS),
    ]
)
HEADER: Final = np.dtype(
    [
        ("magic", "S8"),
        ("version", "<u4"),
        ("daemon_version", "<u4"),
        ("header_bytes", "<u4"),
        ("slot_bytes", "<u4"),
        ("slots", "<u4"),
        ("obs_pid", "<u4"),
        ("closed", "<u4"),
        ("source_width", "<u4"),
        ("source_height", "<u4"),
        ("drawn", "<u4"),
        ("fps", "<f8"),
        ("drawn_at", "<f8"),
        ("beat", "<u4"),
        ("daemon_pid", "<u4"),
        ("wanted_width", "<u4"),
        ("wanted_height", "<u4"),
        ("fresh_ms", "<f8"),
        ("unused1", "<u4", 10),
        ("source_name", "S256"),
        ("filter_name", "S256"),
        ("preset", "S192"),
        ("state", "S256"),
        ("on_air", "S128"),
        ("panel", "S128"),
        ("unused2", "<u4", 48),
        ("to_daemon", CHANNEL),
        ("to_obs", CHANNEL),
        ("presets", "S2048"),
    ]
)


def slot_bytes_for(width: int, height: int) -> int:
    """Bytes of a slot that takes pictures of that size: whole pages."""
    return -(-width * height * BYTES_PER_PIXEL // PAGE) * PAGE


def file_bytes(slot_bytes: int) -> int:
    """Size of a whole file with slots of that many bytes."""
    return HEADER_BYTES + 2 * SLOTS * slot_bytes
