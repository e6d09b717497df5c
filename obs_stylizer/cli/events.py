"""``obs-stylizer ctl --follow``: what happens at the daemon, line by line."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from obs_stylizer.cli.encoding import json_text
from obs_stylizer.cli.running_daemon import NoDaemonError, RunningDaemon
from obs_stylizer.errors import StylizerError

_OPEN_SECONDS: Final = 5.0


def follow(daemon: RunningDaemon, as_json: bool) -> int:
    """Print every event until Ctrl-C (exit code 0) or until the daemon ends (1).

    Raises:
        StylizerError: there is no daemon, or it lets nobody in.
    """
    address = f"ws://{daemon.address}/api/events"
    try:
        with connect(
            address,
            additional_headers=daemon.headers,
            open_timeout=_OPEN_SECONDS,
            # This machine's own daemon is behind no proxy.
            proxy=None,
        ) as line:
            for message in line:
                _print(str(message), as_json)
    except InvalidHandshake as error:
        raise StylizerError(
            f"{daemon.address} tells no events: {error}", "check address and token"
        ) from error
    except ConnectionClosed as error:
        reason = error.rcvd.reason if error.rcvd else ""
        raise StylizerError(f"the line to {daemon.address} broke {reason}".rstrip()) from error
    except OSError as error:
        raise NoDaemonError(
            f"no obs-stylizer answers at {daemon.address}", "start it with: obs-stylizer run"
        ) from error
    raise StylizerError(f"obs-stylizer at {daemon.address} has ended")


def _print(message: str, as_json: bool) -> None:
    if as_json:
        print(message if message.isascii() else json_text(json.loads(message)), flush=True)
        return
    try:
        event = json.loads(message)
        kind, text, details = event["kind"], event["text"], event["details"]
    except (ValueError, KeyError, TypeError):
        print(message, flush=True)
        return
    text = text or _change(details)
    if text:
        print(f"{time.strftime('%H:%M:%S')}  {kind}: {text}", flush=True)


def _change(details: Mapping[str, Any]) -> str:
    """Say what has changed; "" for statistics and other news without words."""
    changed = details.get("changed") or []
    return ", ".join(f"{name} {details.get(name)}" for name in changed)
