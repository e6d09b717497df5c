"""The panel's own files, read once; nothing is built and nothing comes from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

_FOLDER: Final = Path(__file__).parent / "panel"
_KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def page_paths() -> list[str]:
    """The addresses of the panel's files; there is no secret in any."""
    return ["/", *(f"/panel/{path.name}" for path in _files())]


def page_routes() -> list[BaseRoute]:
    """Make the routes of the panel's files."""
    routes = [_route(f"/panel/{path.name}", path) for path in _files()]
    return [_route("/", _FOLDER / "index.html"), *routes]


def _files() -> list[Path]:
    return sorted(path for path in _FOLDER.iterdir() if path.suffix in _KINDS)


def _route(address: str, path: Path) -> BaseRoute:
    content = path.read_bytes()
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}

    async def page(_: Request) -> Response:
        return Response(content, media_type=_KINDS[path.suffix], headers=headers)

    return Route(address, page)
