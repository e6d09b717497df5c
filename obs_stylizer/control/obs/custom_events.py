"""Custom events of OBS: whoever can send one commands us, and hears what we do.

Commands are ``{"obs_stylizer": {"command": "preset", "name": "great-wave"}}``, with an ``id`` if
the answer should carry it; all that we send has an ``event`` in the place of ``command``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from obs_stylizer.control.commands import Answer
from obs_stylizer.control.event_bus import ControlEvent
from obs_stylizer.errors import StylizerError

KEY: Final = "obs_stylizer"


def command_in(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the command that a custom event carries; None if it is none for us."""
    message = data.get(KEY)
    if not isinstance(message, Mapping) or "command" not in message:
        return None
    return dict(message)


def of_answer(number: Any, answer: Answer) -> dict[str, Any]:
    """Return the event that tells how a command went."""
    return _event("answer", number, text=answer.text, details=dict(answer.details))


def of_error(number: Any, error: BaseException) -> dict[str, Any]:
    """Return the event that tells why a command was not done."""
    remedy = error.remedy if isinstance(error, StylizerError) else ""
    message = error.message if isinstance(error, StylizerError) else str(error)
    return _event("error", number, message=message, remedy=remedy)


def of_control_event(control_event: ControlEvent) -> dict[str, Any]:
    """Return the event that tells what happened."""
    details = dict(control_event.details)
    return _event(control_event.kind.value, None, text=control_event.text, details=details)


def _event(event: str, number: Any, **content: Any) -> dict[str, Any]:
    if number is not None:
        content["id"] = number
    return {KEY: {"event": event, **content}}
