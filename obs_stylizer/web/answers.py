"""How answers and errors look over HTTP, and how a request's JSON is read."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from obs_stylizer.errors import DocumentError, StylizerError, UsageError
from obs_stylizer.web.guard import MAX_BODY
from obs_stylizer.web.json_text import AnyNameResponse
from obs_stylizer.web.server import REQUEST_SECONDS

Value = TypeVar("Value")

ANSWER_SECONDS: Final = 120.0
"""How long a command may take; a generator that was never loaded here may take a minute."""


class AnswerBody(BaseModel):
    """A command that was done."""

    text: str = Field(description="A line for people.")
    details: dict[str, Any] = Field(description="The same for programs.")


class ErrorText(BaseModel):
    """What went wrong."""

    message: str = Field(description="What went wrong, in a line.")
    remedy: str = Field(description="What to do about it; may be empty.")


class ErrorBody(BaseModel):
    """A request that was refused, or a command that failed; nothing has changed."""

    error: ErrorText


ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": ErrorBody, "description": "It cannot be understood."},
    401: {"model": ErrorBody, "description": "The token is missing or wrong."},
    403: {"model": ErrorBody, "description": "It comes from a page of another site."},
    404: {"model": ErrorBody, "description": "There is no such thing."},
    409: {"model": ErrorBody, "description": "It cannot be done now; nothing has changed."},
    413: {"model": ErrorBody, "description": "It is too large."},
    429: {"model": ErrorBody, "description": "Too many requests."},
}
"""For the description of each route."""


def error_response(error: StylizerError) -> JSONResponse:
    """Answer with the reason and the remedy."""
    status = 409
    if isinstance(error, UsageError):
        status = 400
    elif isinstance(error, DocumentError):
        status = 404
    return refusal(status, error.message, error.remedy)


def refusal(status: int, message: str, remedy: str = "") -> JSONResponse:
    """Answer that something is not done."""
    return AnyNameResponse({"error": {"message": message, "remedy": remedy}}, status)


async def read_json(request: Request) -> dict[str, Any]:
    """Return the request's JSON object; one without a body is an empty one.

    Raises:
        UsageError: it is too large, or no JSON object.
    """
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            body = await _read(request)
    except (TimeoutError, ClientDisconnect):
        raise UsageError("the request did not arrive whole", "send it at once") from None
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the request is no JSON: {error}", 'send {"name": "value"}') from error
    if not isinstance(value, dict):
        raise UsageError("the request is no JSON object", 'send {"name": "value"}')
    return value


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise UsageError("the request is too large", f"it may have {MAX_BODY} bytes")
    return bytes(body)


async def result_of(future: Future[Value], seconds: float = ANSWER_SECONDS) -> Value:
    """Wait for what another thread is to do, without ever cancelling it.

    Raises:
        StylizerError: that it failed with, or that it took too long.
    """
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake(_: Future[Value]) -> None:
        with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(wake)
    try:
        await asyncio.wait_for(done.wait(), seconds)
    except TimeoutError:
        message = f"no answer in {seconds:g} seconds"
        raise StylizerError(message, "it goes on; look at the status, or at the log") from None
    return future.result()


def in_thread(work: Callable[[], Value]) -> Future[Value]:
    """Do what may take long in a thread of its own, which holds up no ending."""
    future: Future[Value] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="web-work", daemon=True).start()
    return future
