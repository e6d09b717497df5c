"""What programs of this machine may ask without the token: nothing that shows or changes a source.

Everything else needs it: pictures of the camera or the screen, files, sources, what shows one
plain, recordings, snapshots, whatever writes into the settings, and ending the daemon. A machine
has other accounts than that of whoever sits in front of it.
"""

from __future__ import annotations

import re
from typing import Final

FREE_WORDS: Final = frozenset(
    {
        *("preset", "next", "previous", "undo", "strength", "strength-step", "mix", "crossfade"),
        *("coherence", "freeze", "warm", "reload", "status"),
    }
)
"""Commands that change how the picture looks, and not what it is of."""

_GET: Final = frozenset(
    {
        *("/api/status", "/api/presets", "/api/hotkeys", "/api/access", "/api/events"),
        "/openapi.json",
    }
)
# Any command comes in by the second one, which asks for the token by itself.
_POST: Final = frozenset({f"/api/{word}" for word in FREE_WORDS} | {"/api/command"})
_THUMBNAIL: Final = re.compile(r"/api/presets/[^/]+/thumbnail\.jpg")


def is_free(method: str, path: str) -> bool:
    """Whether a request needs no token where it comes from this machine."""
    if method == "POST":
        return path in _POST
    return method == "GET" and (path in _GET or _THUMBNAIL.fullmatch(path) is not None)
