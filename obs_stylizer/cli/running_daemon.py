"""Talks to the daemon that runs, over its web server. Starts at once: nothing heavy is imported."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import platformdirs

from obs_stylizer.errors import DocumentError, StylizerError, UsageError

DEFAULT_PORT: Final = 8765
ADDRESS_VARIABLE: Final = "OBS_STYLIZER_ADDRESS"
TOKEN_VARIABLE: Final = "OBS_STYLIZER_TOKEN"  # noqa: S105

_CONNECT_SECONDS: Final = 2.0
_LARGEST_ANSWER: Final = 4_000_000


class NoDaemonError(StylizerError):
    """Nothing listens where the daemon should be."""


class RefusedError(StylizerError):
    """The daemon did not do what was asked; ``status`` is that of HTTP."""

    def __init__(self, message: str, remedy: str, status: int) -> None:
        super().__init__(message, remedy)
        self.status = status


@dataclass(frozen=True, slots=True)
class Address:
    """Where a daemon's web server is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``HOST:PORT``, ``HOST``, ``:PORT`` or the address of the panel.

        Raises:
            UsageError: it is none of these.
        """
        try:
            parts = urlsplit(text if "://" in text else f"//{text}")
            port = parts.port
        except ValueError as error:
            raise UsageError(f"“{text}” is no address: {error}", "write 127.0.0.1:8765") from error
        if parts.scheme not in ("", "http") or parts.path not in ("", "/") or port == 0:
            raise UsageError(f"“{text}” is no address of a daemon", "write 127.0.0.1:8765")
        return cls(parts.hostname or "127.0.0.1", port or DEFAULT_PORT)

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine for sure."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, slots=True)
class RunningDaemon:
    """A daemon's web server.

    Attributes:
        token: lets in where one is needed; "" for none.
        timeout: seconds that an answer may take.
        given: the address was named, so that no other is tried.
    """

    address: Address
    token: str = ""
    timeout: float = 20.0
    given: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """What shows that we may come in."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def page(self, path: str = "/", **query: str) -> str:
        """Return the whole address of a page of it."""
        return f"http://{self.address}{path}" + (f"?{urlencode(query)}" if query else "")

    def get(self, path: str) -> dict[str, Any]:
        """Ask for something.

        Raises:
            StylizerError: as :meth:`send`.
        """
        return self._ask("GET", path, None)

    def post(self, path: str) -> dict[str, Any]:
        """Ask for something to be made.

        Raises:
            StylizerError: as :meth:`send`.
        """
        return self._ask("POST", path, b"{}")

    def send(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send a command.

        Raises:
            NoDaemonError: nothing listens there.
            RefusedError: it was not done.
            StylizerError: it does not answer, or is no daemon of ours.
        """
        answer = self._ask("POST", "/api/command", json.dumps(message).encode())
        if not isinstance(answer.get("text"), str):
            raise self._stranger()
        return answer

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        line = http.client.HTTPConnection(
            self.address.host, self.address.port, timeout=_CONNECT_SECONDS
        )
        try:
            try:
                line.connect()
            except OSError as error:
                raise self._absent(error) from error
            line.sock.settimeout(self.timeout)
            headers = {"Content-Type": "application/json", **self.headers}
            line.request(method, path, body, headers)
            answer = line.getresponse()
            return self._understood(answer.status, answer.read(_LARGEST_ANSWER))
        except TimeoutError as error:
            raise StylizerError(
                f"obs-stylizer at {self.address} has not answered in {self.timeout:g} s",
                "it may still be loading; see: obs-stylizer ctl status",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._stranger() from error
        finally:
            line.close()

    def _understood(self, status: int, body: bytes) -> dict[str, Any]:
        try:
            value = json.loads(body)
        except ValueError as error:
            raise self._stranger() from error
        if not isinstance(value, dict):
            raise self._stranger()
        if status < 300:
            return value
        reason = value.get("error")
        if not isinstance(reason, dict):
            raise self._stranger()
        remedy = str(reason.get("remedy", ""))
        if status == 401:
            remedy = f"give what is in its file “token” with --token or in {TOKEN_VARIABLE}"
        raise RefusedError(str(reason.get("message", "")), remedy, status)

    def _absent(self, error: OSError) -> StylizerError:
        if isinstance(error, socket.gaierror):
            return UsageError(f"there is no machine “{self.address.host}”", "check --address")
        if isinstance(error, TimeoutError):
            return NoDaemonError(f"{self.address} does not answer", "check the address")
        return NoDaemonError(
            f"no obs-stylizer answers at {self.address}",
            "check the address" if self.given else "start it with: obs-stylizer run",
        )

    def _stranger(self) -> StylizerError:
        return StylizerError(
            f"what answers at {self.address} is no obs-stylizer",
            "name the right one, as in --address 127.0.0.1:8766",
        )


def find_daemon(address: str | None, token: str | None, timeout: float) -> RunningDaemon:
    """Return the daemon that is meant: by option, environment, settings or default.

    Raises:
        UsageError: the address given is none.
    """
    named = address or os.environ.get(ADDRESS_VARIABLE)
    where = Address.parse(named) if named else _address_of_settings()
    secret = token or os.environ.get(TOKEN_VARIABLE) or ""
    if not secret and (where.is_local or not named):
        # Our own token is for nobody else's machine.
        secret = _own_token()
    return RunningDaemon(where, secret, timeout, given=bool(named))


def find_others(missed: RunningDaemon) -> list[RunningDaemon]:
    """Return daemons of this machine at other ports than the one that did not answer."""
    if missed.given:
        return []
    # Only after a failure, so it may take longer.
    from obs_stylizer.locks import holder_of
    from obs_stylizer.settings import runtime_folder

    ports = set()
    for note in runtime_folder().glob("port-*.json"):
        try:
            thing = str(json.loads(note.read_text("utf-8"))["thing"])
            port = int(thing.removeprefix("port "))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if holder_of(thing) is not None:
            ports.add(port)
    others = sorted(ports - {missed.address.port})
    return [
        RunningDaemon(Address("127.0.0.1", port), missed.token, missed.timeout) for port in others
    ]


def only_other(missed: RunningDaemon, error: NoDaemonError) -> RunningDaemon:
    """Return the one daemon of this machine at another port than the one that did not answer.

    Raises:
        NoDaemonError: there is none, or there are several, which are named.
    """
    others = find_others(missed)
    if len(others) == 1:
        return others[0]
    if others:
        where = " and ".join(str(other.address) for other in others)
        raise NoDaemonError(
            error.message, f"others run at {where}: say which, as in --address {others[0].address}"
        )
    raise error


def config_folder() -> Path:
    """The same as in :mod:`obs_stylizer.settings`, which takes a third of a second to load."""
    return platformdirs.user_config_path("obs-stylizer", appauthor=False)


def _address_of_settings() -> Address:
    """Return what the settings say, read without checking all of them, which takes long."""
    path = config_folder() / "config.yaml"
    default = Address("127.0.0.1", DEFAULT_PORT)
    try:
        text = path.read_bytes()
    except OSError:
        return default
    if b"web" not in text:
        return default
    from obs_stylizer.yaml_text import read_yaml

    try:
        web = read_yaml(text.decode("utf-8"), path)[0].get("web") or {}
        host, port = web.get("address", default.host), web.get("port", default.port)
    except (DocumentError, UnicodeDecodeError, AttributeError):
        host = port = None
    if not isinstance(host, str) or not isinstance(port, int):
        # Whoever is on air must not lose control because of a typing error.
        sys.stderr.write(f"warning: {path} cannot be read; trying {default}\n")
        return default
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    return Address(everywhere.get(host, host), port)


def _own_token() -> str:
    try:
        with (config_folder() / "token").open(encoding="utf-8", errors="replace") as stream:
            return "".join(stream.read(1000).split())
    except OSError:
        return ""
