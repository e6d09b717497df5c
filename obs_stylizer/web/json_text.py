"""JSON that can be sent whatever is in it: names of files need not be UTF-8."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse


def json_text(value: Any) -> str:
    """Return a value as JSON; odd bytes of names become escapes, which read back as they were."""
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()


class AnyNameResponse(JSONResponse):
    """An answer in such JSON."""

    def render(self, content: Any) -> bytes:
        """See :class:`JSONResponse`."""
        return json_text(content).encode()
