"""Every command over HTTP: one route each, one for all, and addresses to open with a token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote

from fastapi import APIRouter
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from obs_stylizer.control.api import ControlApi
from obs_stylizer.control.commands import Command
from obs_stylizer.control.vocabulary import WORDS, command_from_json, command_from_words
from obs_stylizer.errors import StylizerError, UsageError
from obs_stylizer.web.answers import (
    ERRORS,
    AnswerBody,
    error_response,
    read_json,
    refusal,
    result_of,
)
from obs_stylizer.web.free_paths import FREE_WORDS
from obs_stylizer.web.guard import KNOWN_BY, NO_TOKEN, Known
from obs_stylizer.web.json_text import AnyNameResponse

DO_PATH: Final = "/do/"

_FREE: Final = tuple(WORDS[word].command for word in FREE_WORDS)


def command_routes(api: ControlApi) -> APIRouter:
    """Make the routes of all commands."""
    router = APIRouter(tags=["commands"])

    async def answer(request: Request, make: Callable[[], Awaitable[Command]]) -> Response:
        try:
            command = await make()
            if not request.scope.get(KNOWN_BY) and not isinstance(command, _FREE):
                return refusal(*NO_TOKEN)
            done = await result_of(api.send(command))
        except StylizerError as error:
            return error_response(error)
        return AnyNameResponse({"text": done.text, "details": dict(done.details)})

    async def any_command(request: Request) -> Response:
        async def make() -> Command:
            return command_from_json(await read_json(request))

        return await answer(request, make)

    def one_command(word: str) -> Callable[[Request], Awaitable[Response]]:
        async def command(request: Request) -> Response:
            async def make() -> Command:
                arguments = await read_json(request)
                if "command" in arguments:
                    raise UsageError(f"{word} has no argument “command”", "leave it out")
                return command_from_json({**arguments, "command": word})

            return await answer(request, make)

        return command

    async def opened(request: Request) -> Response:
        # A page of another local server could open it with the cookie.
        if request.scope.get(KNOWN_BY) is not Known.TOKEN:
            return refusal(
                401,
                "an address that does something needs the token",
                "add ?token=… with what is in the file “token” beside the settings",
            )

        async def make() -> Command:
            return command_from_words(_words_of(request))

        return await answer(request, make)

    for word, meaning in WORDS.items():
        if word != "status":
            router.add_api_route(
                f"/api/{word}",
                one_command(word),
                methods=["POST"],
                name=word,
                summary=_sentence(meaning.about),
                response_model=AnswerBody,
                responses=ERRORS,
                openapi_extra=_body_of(_schema(meaning.command)),
            )
    router.add_api_route(
        "/api/command",
        any_command,
        methods=["POST"],
        summary="Any command, by its word.",
        response_model=AnswerBody,
        responses=ERRORS,
        openapi_extra=_body_of(_schema_of_all()),
    )
    router.add_api_route(
        DO_PATH + "{words:path}",
        opened,
        methods=["GET"],
        summary="Any command, as an address to open.",
        description="For buttons that open an address: /do/preset/great-wave?token=TOKEN. "
        "The words are those of the command line, one after each slash.",
        response_model=AnswerBody,
        responses=ERRORS,
    )
    return router


def _words_of(request: Request) -> list[str]:
    """Return the words of the address; a slash within a word is written %2F."""
    path = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0]
    return [unquote(word) for word in path.removeprefix(DO_PATH).split("/") if word]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _schema(command: type[Command]) -> dict[str, Any]:
    schema = TypeAdapter(command).json_schema()
    schema["additionalProperties"] = False
    return schema


def _schema_of_all() -> dict[str, Any]:
    choices = []
    for word, meaning in WORDS.items():
        schema = _schema(meaning.command)
        properties = {"command": {"const": word, "type": "string"}, **schema.get("properties", {})}
        required = ["command", *schema.get("required", [])]
        choices.append({**schema, "properties": properties, "required": required, "title": word})
    return {"oneOf": choices}


def _body_of(schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"content": content, "required": bool(schema.get("required"))}}
