"""What is printed, on terminals and into pipes that cannot show every letter.

A container or a service without a locale knows ASCII alone, and the name of a file may hold bytes
that are no letters at all. Neither may end the program.
"""

from __future__ import annotations

import json
import sys
from typing import TextIO


def fit_streams() -> None:
    """Have both streams write an escape in place of each letter that they cannot show."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def json_text(value: object, indent: int | None = None, stream: TextIO | None = None) -> str:
    """Return a value as JSON that is UTF-8 whatever the stream (standard output) can show.

    Letters are themselves where the stream is UTF-8, else escapes of JSON; so are the bytes in
    names of files that are no letters.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
    encoding = getattr(stream or sys.stdout, "encoding", None) or "utf-8"
    if text.isascii():
        return text
    if encoding.lower().replace("-", "").replace("_", "") == "utf8":
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            pass
        else:
            return text
    return json.dumps(value, indent=indent, default=str)
