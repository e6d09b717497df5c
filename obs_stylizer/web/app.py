"""Puts panel, commands, listings, events and pictures together into one application."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, HTTPException
from starlette.requests import Request
from starlette.responses import Response

import obs_stylizer
from obs_stylizer.control.api import ControlApi
from obs_stylizer.settings import RecordingSettings
from obs_stylizer.web.answers import refusal
from obs_stylizer.web.command_routes import command_routes
from obs_stylizer.web.event_feed import EventFeed
from obs_stylizer.web.event_socket import EVENTS_PATH, event_routes
from obs_stylizer.web.file_routes import file_routes
from obs_stylizer.web.json_text import AnyNameResponse
from obs_stylizer.web.learning_routes import learning_routes
from obs_stylizer.web.listing_routes import listing_routes
from obs_stylizer.web.obs_routes import SceneMapApi, obs_routes
from obs_stylizer.web.page import page_routes
from obs_stylizer.web.preview import PREVIEW_PATH, Preview, View
from obs_stylizer.web.stream_hub import StreamHub
from obs_stylizer.web.stream_routes import STREAM_PATH, stream_routes
from obs_stylizer.web.thumbnails import Thumbnails

log = logging.getLogger(__name__)

_ABOUT = f"""Every command, listing and picture of obs-stylizer.

* `{EVENTS_PATH}` is a WebSocket: first a message `hello` with the status, then every event
  as `{{"kind": …, "text": …, "details": …}}`, statistics once a second. Nothing is sent to it.
* Programs of this machine may ask for the state, the presets and their own pictures, and change
  preset, mix, strength, crossfade and freeze. Whatever shows or changes a source, reads a
  picture of the camera or the screen, reads or writes a file, or ends the daemon needs the token:
  `Authorization: Bearer TOKEN` or `?token=TOKEN`. Beyond this machine everything does.
"""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application stands on; all of it already started.

    Attributes:
        hub: of the stream.
        hotkeys: key combination of each command, as in the settings.
        obs: whoever talks to OBS; None where nobody does.
    """

    api: ControlApi
    hub: StreamHub
    event_feed: EventFeed
    preview: Preview
    thumbnails: Thumbnails
    recording: RecordingSettings
    hotkeys: Mapping[str, str] = field(default_factory=dict)
    obs: SceneMapApi | None = None


def build_app(parts: Parts) -> FastAPI:
    """Make the application."""
    app = FastAPI(
        title="obs-stylizer",
        version=obs_stylizer.__version__,
        description=_ABOUT,
        # Their pages would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        default_response_class=AnyNameResponse,
    )
    app.include_router(command_routes(parts.api))
    app.include_router(listing_routes(parts.api, parts.event_feed, parts.thumbnails, parts.hotkeys))
    app.include_router(file_routes(parts.api, parts.recording))
    app.include_router(obs_routes(parts.obs))
    app.include_router(learning_routes(parts.api))
    app.include_router(event_routes(parts.event_feed))
    app.router.routes.extend([*stream_routes(parts.hub), parts.preview.route(), *page_routes()])
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(404, _http_error)
    app.add_exception_handler(405, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    describe = app.openapi

    def described() -> dict[str, Any]:
        schema = describe()
        schema["paths"].update(_pictures())
        return schema

    app.openapi = described  # type: ignore[method-assign]
    return app


def _pictures() -> dict[str, Any]:
    """Describe the routes that are bare applications, which FastAPI does not know."""
    content = {"multipart/x-mixed-replace; boundary=frame": {"schema": {"type": "string"}}}
    answer = {"200": {"description": "JPEGs without end.", "content": content}}
    view = {
        "name": "view",
        "in": "query",
        "schema": {"enum": list(View), "default": View.STYLED},
        "description": "raw, styled, both halves, or both whole side by side.",
    }
    return {
        STREAM_PATH: {
            "get": {
                "tags": ["pictures"],
                "summary": "What is sent, at full size and rate; needs the sink “http”.",
                "responses": {**answer, "404": {"description": "There is no such sink."}},
            }
        },
        PREVIEW_PATH: {
            "get": {
                "tags": ["pictures"],
                "summary": "What is on air, small and 12 times a second.",
                "parameters": [view],
                "responses": answer,
            }
        },
    }


async def _http_error(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    if status == 405:
        return refusal(405, f"{request.method} does nothing here", "see /openapi.json")
    return refusal(status, f"there is nothing at {request.url.path[:200]}", "see /openapi.json")


async def _unexpected(_: Request, error: Exception) -> Response:
    # Starlette logs the traceback after this answer has been sent.
    return refusal(500, f"that failed: {error}", "see the log, and please report it")
