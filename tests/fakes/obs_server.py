"""A server that behaves as OBS does not do on demand: each connection gets the next script."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PASSWORD = "so-very-secret"
SALT, CHALLENGE = "salt", "challenge"


class Wire:
    """The server's end of one connection."""

    def __init__(self, server: FakeObs, connected: socket.socket) -> None:
        self.server = server
        self.socket = connected

    def read_request(self) -> str:
        """Read the HTTP request that opens a WebSocket."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += self._exactly(1)
        return data.decode("latin-1")

    def open(self) -> None:
        """Answer it as a WebSocket server does."""
        lines = self.read_request().split("\r\n")
        key = next(line.split(": ")[1] for line in lines if "sec-websocket-key" in line.lower())
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        self.raw(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )

    def raw(self, data: bytes) -> None:
        self.socket.sendall(data)

    def frame(self, payload: bytes, opcode: int = 1) -> None:
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 127, size)
        self.raw(head + payload)

    def say(self, operation: int, **data: Any) -> None:
        self.frame(json.dumps({"op": operation, "d": data}).encode())

    def event(self, name: str, **data: Any) -> None:
        self.say(5, eventType=name, eventIntent=1, eventData=data)

    def close(self, code: int, reason: str = "") -> None:
        self.frame(struct.pack("!H", code) + reason.encode(), 8)

    def reset(self) -> None:
        """Hang up without a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def read_frame(self) -> tuple[int, bytes]:
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            size = struct.unpack("!H", self._exactly(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self._exactly(8))[0]
        mask = self._exactly(4)
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(self._exactly(size)))
        return first & 0xF, payload

    def hear(self) -> dict[str, Any]:
        """Return the next message; pings are answered, a goodbye ends the script."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == 9:
                self.frame(payload, 10)
            elif opcode == 8:
                raise ConnectionError("goodbye")
            else:
                return dict(json.loads(payload))

    def welcome(self) -> None:
        """Say hello and take the other's identification, with a password."""
        self.open()
        self.say(
            0,
            obsWebSocketVersion="5.1.0",
            rpcVersion=1,
            authentication={"salt": SALT, "challenge": CHALLENGE},
        )
        identify = self.hear()["d"]
        secret = base64.b64encode(hashlib.sha256((PASSWORD + SALT).encode()).digest())
        expected = base64.b64encode(hashlib.sha256(secret + CHALLENGE.encode()).digest()).decode()
        if identify.get("authentication") != expected:
            self.close(4009, "Authentication failed.")
            raise ConnectionError("refused")
        self.say(2, negotiatedRpcVersion=1)

    def serve(self) -> None:
        """Answer requests, as a very small OBS, until the other leaves."""
        while True:
            request = self.hear()["d"]
            self.server.requests.append((request["requestType"], request.get("requestData") or {}))
            data = self.server.answers.get(request["requestType"], {})
            if callable(data):
                data = data(**request["requestData"])
            failed = isinstance(data, str)
            self.say(
                7,
                requestId=request["requestId"],
                requestType=request["requestType"],
                requestStatus={
                    "result": not failed,
                    "code": 600 if failed else 100,
                    **({"comment": data} if failed else {}),
                },
                **({} if failed else {"responseData": data}),
            )

    def stay(self) -> None:
        """Say nothing more until the other leaves."""
        while self.socket.recv(4096):
            pass

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the other has left")
            data += piece
        return data


Script = Callable[[Wire], None]


class FakeObs:
    """Plays ``scripts``, one a connection; the last one is played over and over.

    ``answers`` says what requests come back with: data, a function that makes them of the
    request's data, or a text, which refuses. ``requests`` holds all that were served.
    """

    def __init__(self, *scripts: Script, port: int = 0) -> None:
        self.scripts = list(scripts) or [normal]
        self.answers: dict[str, Any] = {
            "GetSceneList": {
                "currentProgramSceneName": "A",
                "currentPreviewSceneName": None,
                "scenes": [{"sceneName": name} for name in ("A", "B", "C")],
            },
            "GetVersion": {"obsVersion": "29.0.2", "obsWebSocketVersion": "5.1.0"},
        }
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.wires: list[Wire] = []
        self.errors: list[Exception] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._listen, name="fake-obs", daemon=True)]
        self._threads[0].start()

    def _listen(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            wire = Wire(self, connected)
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            self.wires.append(wire)
            thread = threading.Thread(
                target=self._play, args=(script, wire), name="fake-obs", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _play(self, script: Script, wire: Wire) -> None:
        try:
            script(wire)
        except OSError:
            pass
        except Exception as error:
            self.errors.append(error)
        finally:
            wire.socket.close()

    def named(self, request: str) -> list[dict[str, Any]]:
        """Data of all requests of that kind that were served."""
        return [data for name, data in self.requests if name == request]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for wire in self.wires:
            with suppress(OSError):
                wire.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


@contextmanager
def running(*scripts: Script, port: int = 0) -> Iterator[FakeObs]:
    server = FakeObs(*scripts, port=port)
    try:
        yield server
    finally:
        server.close()
    assert server.errors == []


# The scripts.


def normal(wire: Wire) -> None:
    wire.welcome()
    wire.serve()


def mute(wire: Wire) -> None:
    wire.stay()


def mute_after_opening(wire: Wire) -> None:
    wire.open()
    wire.stay()


def deaf(wire: Wire) -> None:
    """Let one in, and never answer a request or a ping."""
    wire.welcome()
    wire.stay()


def slow(wire: Wire) -> None:
    """Send the answer to the first request a byte at a time."""
    wire.read_request()
    for byte in b"HTTP/1.1 101 Switching Protocols\r\n" * 10:
        wire.raw(bytes([byte]))
        time.sleep(0.2)


def http_503(wire: Wire) -> None:
    wire.read_request()
    wire.raw(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")


def web_page(wire: Wire) -> None:
    wire.read_request()
    wire.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


def redirect(wire: Wire) -> None:
    wire.read_request()
    wire.raw(b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")


def reset_at_once(wire: Wire) -> None:
    wire.reset()


def reset_after_welcome(wire: Wire) -> None:
    wire.welcome()
    wire.reset()


def wrong_version(wire: Wire) -> None:
    wire.open()
    wire.say(0, obsWebSocketVersion="6.0.0", rpcVersion=2)
    wire.hear()
    wire.close(4010, "unsupported RPC version")


def version_4(wire: Wire) -> None:
    """Wait to be asked, as obs-websocket did before version 5."""
    wire.open()
    asked = wire.hear()
    answer = {"message-id": asked["message-id"], "status": "ok", "obs-websocket-version": "4.9.1"}
    wire.frame(json.dumps(answer).encode())
    wire.stay()


def version_4_with_an_event(wire: Wire) -> None:
    wire.open()
    wire.frame(b'{"update-type": "SwitchScenes", "scene-name": "A"}')
    wire.stay()


def late_hello(wire: Wire) -> None:
    """Greet when the question for version 4 has come in."""
    wire.open()
    wire.hear()
    wire.say(0, obsWebSocketVersion="5.1.0", rpcVersion=1)
    wire.hear()
    wire.say(2, negotiatedRpcVersion=1)
    wire.stay()


def broken_hello(wire: Wire) -> None:
    wire.open()
    wire.frame(b"{not json")
    wire.stay()


def broken_json(wire: Wire) -> None:
    """Some nonsense, and then a good event."""
    wire.welcome()
    for nonsense in (b"{not json", b"[]", b"7", b'{"op": 5}', b'{"op": 5, "d": 3}', b"\xff\xfe"):
        wire.frame(nonsense)
    wire.frame(b"", 2)
    wire.event("CurrentProgramSceneChanged", sceneName="B")
    wire.serve()


def large_message(wire: Wire) -> None:
    """Ten megabytes, and then a good event."""
    wire.welcome()
    wire.event("CustomEvent", data="x" * 10_000_000)
    wire.event("CurrentProgramSceneChanged", sceneName="B")
    wire.serve()


def endless_message(wire: Wire) -> None:
    """Says that it sends a terabyte."""
    wire.welcome()
    wire.raw(struct.pack("!BBQ", 0x81, 127, 1 << 40))
    while True:
        wire.raw(b"x" * 65536)
