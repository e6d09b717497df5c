"""One connection to OBS: obs-websocket-py with our own connecting, receiving and waiting.

The library's own receive thread dies of a reset connection, its calls wait their whole time-out
when the link drops, connecting waits for ever, and refusals lose their reason. Here each of
these ends in time and says why.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

import websocket
from obswebsocket import obsws
from obswebsocket.base_classes import Baserequests

from obs_stylizer.errors import ObsError

log = logging.getLogger(__name__)

REACH_SECONDS: Final = 2.5
HANDSHAKE_SECONDS: Final = 3.0
HELLO_SECONDS: Final = 1.5
ANSWER_SECONDS: Final = 3.0
WRONG_PASSWORD: Final = 4009
WRONG_VERSION: Final = 4010
NOT_OBS: Final = -1

_TURN_SECONDS: Final = 0.5
_PING_AFTER_SECONDS: Final = 2.0
_DEAD_AFTER_SECONDS: Final = 6.0
# Read at once, a larger text would keep the interpreter from the camera's clock.
_READ_BYTES: Final = 1 << 20
_MAX_BYTES: Final = 1 << 24
# General, configuration, scenes, inputs, user interface.
_SUBSCRIPTIONS: Final = 1 | 2 | 4 | 8 | 1024
_CLOSING: Final[Mapping[int, tuple[str, str]]] = {
    4003: ("it was not told who we are", ""),
    WRONG_PASSWORD: (
        "it refuses the password",
        "set obs.password in config.yaml or OBS_WEBSOCKET_PASSWORD to the one in OBS, Tools, "
        "WebSocket Server Settings",
    ),
    WRONG_VERSION: ("it speaks another version of the protocol", "install OBS 28 or newer"),
    4011: ("it has ended our session", ""),
}


@dataclass(frozen=True, slots=True)
class ObsEvent:
    """Something that happened in OBS; names and data as in obs-websocket's protocol."""

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


class _BoundedSocket(websocket.WebSocket):  # type: ignore[misc, unused-ignore]
    """Gives up on a message that is larger than anything OBS has to say to us."""

    def _recv(self, bufsize: int) -> Any:
        begun = self.cont_frame.cont_data
        size = (self.frame_buffer.length or 0) + (len(begun[1]) if begun else 0)
        if size > _MAX_BYTES:
            raise ObsError(f"it sent a message of {size >> 20} MB")
        return super()._recv(bufsize)  # type: ignore[no-untyped-call]

    def send_close(self, *arguments: Any, **options: Any) -> None:
        """Say goodbye; to one who has left already, nothing is said, and his reason is kept."""
        try:
            super().send_close(*arguments, **options)
        except (websocket.WebSocketException, OSError):
            log.debug("OBS is gone already")


class Connection(obsws):  # type: ignore[misc]
    """A connection to OBS, from :meth:`connect` to the end of :meth:`receive`.

    Any thread may call :meth:`request`, and any but the receiving one :meth:`ask`.

    Args:
        hear: takes every event, on the receiving thread; must return at once.
    """

    def __init__(
        self, host: str, port: int, password: str, hear: Callable[[ObsEvent], None] | None = None
    ) -> None:
        super().__init__(host, port, password, legacy=False)
        self._hear = hear
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[Future[dict[str, Any]], float]] = {}
        self._closed = False
        self._opened = False
        self._too_late = False
        self._socket: socket.socket | None = None

    def __repr__(self) -> str:
        return f"OBS at {in_url(self.host)}:{self.port}"

    def connect(self) -> None:
        """Connect and say who we are.

        Raises:
            ObsError: nobody is there, does not answer in time, is no OBS or refuses us.
        """
        try:
            self._socket = socket.create_connection((self.host, self.port), REACH_SECONDS)
        except ConnectionResetError as error:
            raise ObsError("it hung up at once") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise ObsError(
                f"nothing answers there ({reason.lower()})",
                "start OBS and turn on Tools, WebSocket Server Settings, Enable",
            ) from error
        try:
            self._identify(self._socket)
        except BaseException:
            self.disconnect()
            raise

    def _identify(self, connected: socket.socket) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # One who sends a byte now and then would never run into the time-out of the socket.
        late = threading.Timer(HANDSHAKE_SECONDS, self._give_up)
        late.daemon = True
        late.start()
        try:
            self._shake_hands(connected)
        except ObsError:
            raise
        except websocket.WebSocketBadStatusException as error:
            if error.status_code >= 500:
                raise ObsError(f"it is not ready (HTTP {error.status_code})") from error
            raise _not_obs(f"HTTP {error.status_code}") from error
        except (websocket.WebSocketTimeoutException, TimeoutError) as error:
            raise self._silence() from error
        except (websocket.WebSocketConnectionClosedException, ConnectionError) as error:
            if self._too_late:
                raise self._silence() from error
            raise ObsError("it hung up at once") from error
        except (websocket.WebSocketException, OSError) as error:
            raise _not_obs(_one_line(error)) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _not_obs("it does not speak as OBS does") from error
        finally:
            late.cancel()
            late.join()
        if self._closed:
            raise ObsError("the connection was closed")

    def _give_up(self) -> None:
        self._too_late = True
        self._hang_up()

    def _silence(self) -> ObsError:
        if not self._opened:
            return ObsError("it does not answer", "is OBS hung?")
        return ObsError(
            "it does not answer: it opened the connection and says nothing",
            "install OBS 28 or newer, if it is older; else it is hung: start it again",
        )

    def _shake_hands(self, connected: socket.socket) -> None:
        web_socket: Any = _BoundedSocket(skip_utf8_validation=True)
        self.ws = web_socket
        web_socket.connect(
            f"ws://{in_url(self.host)}:{self.port}",
            socket=connected,
            timeout=HANDSHAKE_SECONDS,
            redirect_limit=0,
            suppress_origin=True,
        )
        self._opened = True
        hello = self._hello()
        self.server_version = str(hello["obsWebSocketVersion"])
        identify: dict[str, Any] = {"rpcVersion": 1, "eventSubscriptions": _SUBSCRIPTIONS}
        asked = hello.get("authentication")
        if asked:
            identify["authentication"] = self._build_auth_string(asked["salt"], asked["challenge"])
        self.ws.send(json.dumps({"op": 1, "d": identify}))
        if self._next_of(2)["negotiatedRpcVersion"] != 1:
            raise ObsError(*_CLOSING[WRONG_VERSION], code=WRONG_VERSION)
        self.ws.settimeout(_TURN_SECONDS)

    def _hello(self) -> dict[str, Any]:
        """Wait for the greeting of obs-websocket 5.

        Version 4 waits to be asked instead. It is asked only when the greeting is late, because
        version 5 hangs up on such a question.

        Raises:
            ObsError: it is version 4.
        """
        self.ws.settimeout(HELLO_SECONDS)
        try:
            return self._next_of(0)
        except (websocket.WebSocketTimeoutException, TimeoutError):
            self.ws.settimeout(HANDSHAKE_SECONDS)
            self.ws.send(json.dumps({"request-type": "GetVersion", "message-id": "1"}))
        return self._next_of(0)

    def _next_of(self, operation: int) -> dict[str, Any]:
        """Return what the next message says, which must be of that kind."""
        code, data = self.ws.recv_data()
        if code == websocket.ABNF.OPCODE_CLOSE:
            raise _closing(data)
        message = json.loads(data)
        if "message-id" in message or "update-type" in message:
            version = message.get("obs-websocket-version", 4)
            raise ObsError(
                f"its obs-websocket {version} is too old: version 5 is spoken here",
                _CLOSING[WRONG_VERSION][1],
                code=WRONG_VERSION,
            )
        if message["op"] != operation:
            raise ValueError(f"operation {message['op']}")
        return dict(message["d"])

    def receive(self) -> ObsError:
        """Hear OBS until the connection ends; returns why it did."""
        reason = self._receive()
        self.disconnect()
        return reason

    def _receive(self) -> ObsError:
        heard_at = time.monotonic()
        while True:
            try:
                code, frame = self.ws.recv_data_frame(control_frame=True)
            except (websocket.WebSocketTimeoutException, TimeoutError):
                quiet = time.monotonic() - heard_at
                if quiet > _DEAD_AFTER_SECONDS:
                    return ObsError("it is silent")
                self._expire()
                if quiet > _PING_AFTER_SECONDS and not self._ping():
                    return ObsError("the connection broke")
                continue
            except ObsError as error:
                return error
            except websocket.WebSocketConnectionClosedException:
                return ObsError("the connection ended")
            except (websocket.WebSocketException, OSError, AttributeError, ValueError) as error:
                # AttributeError: the socket was closed by us in the midst of it.
                return ObsError(f"the connection broke ({_one_line(error)})")
            heard_at = time.monotonic()
            if code == websocket.ABNF.OPCODE_CLOSE:
                return _closing(frame.data)
            if code == websocket.ABNF.OPCODE_TEXT:
                self._take(frame.data)
            self._expire()

    def _ping(self) -> bool:
        try:
            self.ws.ping()
        except (websocket.WebSocketException, OSError, AttributeError):
            return False
        return True

    def _take(self, data: bytes) -> None:
        """Take a message in; one that cannot be read is left out."""
        if len(data) > _READ_BYTES:
            log.warning("a message of %.1f MB from OBS was left out", len(data) / 1e6)
            return
        try:
            message = json.loads(data)
            operation, content = message["op"], message["d"]
            if operation == 5:
                name, event_data = content["eventType"], content.get("eventData") or {}
                if self._hear is not None:
                    self._hear(ObsEvent(str(name), dict(event_data)))
            elif operation == 7:
                self._answer(content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("a message from OBS cannot be read (%s)", _one_line(error))
        except Exception:
            log.exception("a message from OBS was not taken in")

    def _answer(self, content: Mapping[str, Any]) -> None:
        status = content["requestStatus"]
        with self._lock:
            future, _ = self._waiting.pop(str(content["requestId"]), (None, 0.0))
        if future is None:
            return
        if status["result"]:
            future.set_result(dict(content.get("responseData") or {}))
        else:
            comment = str(status.get("comment") or "no reason given").rstrip(".")
            code = int(status.get("code") or 0)
            asked = content.get("requestType", "a request")
            future.set_exception(ObsError(f"OBS refuses {asked}: {comment}", code=code))

    def _expire(self) -> None:
        """Fail the requests that were not answered in time."""
        now = time.monotonic()
        with self._lock:
            late = [number for number, (_, until) in self._waiting.items() if until < now]
            futures = [self._waiting.pop(number)[0] for number in late]
        for future in futures:
            future.set_exception(ObsError("OBS does not answer", "is one of its dialogs open?"))

    def request(self, name: str, /, **data: Any) -> Future[dict[str, Any]]:
        """Ask OBS for something. The future fails with an ObsError, at the latest in 4 s."""
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._closed:
                future.set_exception(ObsError("OBS is not connected"))
                return future
            number = str(self.id)
            self.id += 1
            self._waiting[number] = (future, time.monotonic() + ANSWER_SECONDS)
        request = {"requestType": name, "requestId": number, "requestData": data}
        try:
            self.ws.send(json.dumps({"op": 6, "d": request}))
        except (websocket.WebSocketException, OSError, AttributeError):
            # A part may have been sent: nothing more can be said on this connection.
            self._hang_up()
            with self._lock:
                mine = self._waiting.pop(number, None)
            if mine is not None:
                future.set_exception(ObsError("OBS is not connected any more"))
        return future

    def ask(self, name: str, /, **data: Any) -> dict[str, Any]:
        """Ask OBS for something and wait for it; not from the receiving thread.

        Raises:
            ObsError: refused, not answered in time, or not connected.
        """
        try:
            return self.request(name, **data).result(ANSWER_SECONDS + 2 * _TURN_SECONDS)
        except TimeoutError:
            raise ObsError("OBS does not answer") from None

    def call(self, obj: Baserequests) -> Baserequests:
        """See :meth:`ask`; with the request objects of obs-websocket-py."""
        obj.input(self.ask(obj.name, **obj.data()), True)
        return obj

    def disconnect(self) -> None:
        """Close the connection; requests still waiting fail. Any thread, any number of times."""
        self._hang_up()
        with self._lock:
            self._closed = True
            futures = [future for future, _ in self._waiting.values()]
            self._waiting.clear()
        for future in futures:
            future.set_exception(ObsError("OBS is not connected any more"))
        if self._socket is not None:
            self._socket.close()

    def leave(self) -> None:
        """Say goodbye, and close the connection."""
        if self.ws is not None:
            self.ws.send_close()
        self.disconnect()

    def _hang_up(self) -> None:
        """End what waits in the socket, in whatever thread."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("the connection is closed already")


def _closing(data: bytes) -> ObsError:
    """Read OBS's reason to close the connection."""
    code = int.from_bytes(data[:2], "big")
    if code in _CLOSING:
        return ObsError(*_CLOSING[code], code=code)
    told = data[2:].decode("utf-8", "replace").strip().rstrip(".")
    return ObsError("OBS closed the connection" + (f" ({told})" if told else ""), code=code)


def _not_obs(why: str) -> ObsError:
    return ObsError(f"what answers there is not OBS ({why})", "check obs.port", code=NOT_OBS)


def _one_line(error: BaseException) -> str:
    """Return the first line of an error, in short."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:120]


def in_url(host: str) -> str:
    """Return a host as it stands before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
