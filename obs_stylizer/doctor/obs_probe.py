"""One short visit to OBS: is it there, which version, does it take the password, what scenes.

It asks and never changes anything. The password is neither kept nor put into any message.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import select
import socket
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.sync.client import ClientConnection, connect

_HELLO, _IDENTIFY, _IDENTIFIED, _REQUEST, _RESPONSE = 0, 1, 2, 6, 7
_WRONG_PASSWORD: Final = 4009
_NO_EVENTS: Final = 0
_SPEAKS_FIRST_SECONDS: Final = 0.1

# What goes wrong on a visit is told by its outcome.
_silent = logging.Logger("silent", logging.CRITICAL + 1)


class Reception(StrEnum):
    """How a visit ended."""

    WELCOME = "welcome"
    NOBODY = "nobody listens"
    STRANGER = "something else answers"
    OLD = "too old"
    SILENT = "no answer"
    WRONG_PASSWORD = "wrong password"  # noqa: S105 - the name of a state
    BROKEN_OFF = "broken off"


@dataclass(frozen=True, slots=True)
class Visit:
    """What was seen.

    Attributes:
        reception: how it ended; the rest is known only after a welcome.
        details: more about it in words; "" if there is none.
        obs_version: as OBS writes it.
        websocket_version: of its websocket server.
        scenes: names of the scenes of the collection that is open.
        inputs: names of its inputs.
        collection: its name.
        virtual_camera: whether OBS's own virtual camera is on; None where it has none.
        needs_password: whether it asked for one.
    """

    reception: Reception
    details: str = ""
    obs_version: str = ""
    websocket_version: str = ""
    scenes: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    collection: str = ""
    virtual_camera: bool | None = None
    needs_password: bool = False


def visit(host: str, port: int, password: str, seconds: float) -> Visit:
    """Visit OBS.

    Args:
        host: where it runs.
        port: of its websocket server.
        password: "" for none.
        seconds: for everything together.
    """
    until = time.monotonic() + seconds
    address = f"[{host}]" if ":" in host else host
    try:
        line = socket.create_connection((host, port), timeout=seconds)
        if select.select([line], [], [], _SPEAKS_FIRST_SECONDS)[0]:
            # A web server waits to be spoken to; whoever greets first (or hangs up) is none.
            line.close()
            return Visit(Reception.STRANGER, "it does not wait to be asked")
        with connect(
            f"ws://{address}:{port}",
            sock=line,
            open_timeout=seconds,
            close_timeout=0.5,
            max_size=2**24,
            # OBS stands on this machine or beside it, never behind a proxy.
            proxy=None,
            logger=_silent,
        ) as connection:
            return _Conversation(connection, until).hold(password)
    except (InvalidHandshake, InvalidMessage) as error:
        return Visit(Reception.STRANGER, str(error))
    except TimeoutError:
        return Visit(Reception.SILENT)
    except ConnectionClosed as error:
        return Visit(Reception.BROKEN_OFF, str(error))
    except OSError as error:
        return Visit(Reception.NOBODY, error.strerror or str(error))


class _Conversation:
    """The protocol of obs-websocket 5, as far as it is needed."""

    def __init__(self, connection: ClientConnection, until: float) -> None:
        self._connection = connection
        self._until = until

    def hold(self, password: str) -> Visit:
        """Say who we are, ask, and leave."""
        try:
            hello = self._receive()
        except TimeoutError:
            # Version 4 waits for the client to speak first.
            return Visit(Reception.OLD)
        if hello.get("op") != _HELLO:
            return Visit(Reception.STRANGER, "it does not speak as OBS does")
        greeting = hello.get("d", {})
        challenge = greeting.get("authentication")
        me: dict[str, Any] = {"rpcVersion": 1, "eventSubscriptions": _NO_EVENTS}
        if challenge is not None:
            me["authentication"] = _answer(password, challenge["salt"], challenge["challenge"])
        version = str(greeting.get("obsWebSocketVersion", ""))
        self._send(_IDENTIFY, me)
        try:
            while self._receive().get("op") != _IDENTIFIED:
                pass
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code == _WRONG_PASSWORD:
                return Visit(
                    Reception.WRONG_PASSWORD, websocket_version=version, needs_password=True
                )
            raise
        scenes = self._ask("GetSceneList").get("scenes", [])
        inputs = self._ask("GetInputList").get("inputs", [])
        return Visit(
            Reception.WELCOME,
            obs_version=str(self._ask("GetVersion").get("obsVersion", "")),
            websocket_version=version,
            # OBS lists them from the bottom up.
            scenes=tuple(str(scene["sceneName"]) for scene in reversed(scenes)),
            inputs=tuple(str(given["inputName"]) for given in inputs),
            collection=str(
                self._ask("GetSceneCollectionList").get("currentSceneCollectionName", "")
            ),
            virtual_camera=self._ask("GetVirtualCamStatus").get("outputActive"),
            needs_password=challenge is not None,
        )

    def _ask(self, request: str) -> dict[str, Any]:
        """Return the data of the answer; empty where OBS refuses."""
        self._send(_REQUEST, {"requestType": request, "requestId": request})
        while True:
            message = self._receive()
            data = message.get("d", {})
            if message.get("op") == _RESPONSE and data.get("requestId") == request:
                answer = data.get("responseData")
                return answer if isinstance(answer, dict) else {}

    def _send(self, operation: int, data: dict[str, Any]) -> None:
        self._connection.send(json.dumps({"op": operation, "d": data}))

    def _receive(self) -> dict[str, Any]:
        text = self._connection.recv(timeout=max(0.0, self._until - time.monotonic()))
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        return message if isinstance(message, dict) else {}


def _answer(password: str, salt: str, challenge: str) -> str:
    """Prove that one knows the password without sending it."""
    secret = base64.b64encode(hashlib.sha256((password + salt).encode()).digest()).decode()
    return base64.b64encode(hashlib.sha256((secret + challenge).encode()).digest()).decode()
