"""The three requests of X11's keyboard extension that python-xlib has not got.

With it, a held key is told apart from one that is pressed again and again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from Xlib.protocol import rq

if TYPE_CHECKING:
    from Xlib.display import Display

_CORE_KEYBOARD: Final = 0x100
_DETECTABLE_AUTO_REPEAT: Final = 1
_NEW_KEYBOARD_AND_MAP: Final = 0b11
_ALL_PARTS: Final = 0xFF


class _UseExtension(rq.ReplyRequest):  # type: ignore[misc]
    _request = rq.Struct(
        rq.Card8("opcode"),
        rq.Opcode(0),
        rq.RequestLength(),
        rq.Card16("wanted_major"),
        rq.Card16("wanted_minor"),
    )
    _reply = rq.Struct(
        rq.ReplyCode(),
        rq.Bool("supported"),
        rq.Card16("sequence_number"),
        rq.ReplyLength(),
        rq.Card16("server_major"),
        rq.Card16("server_minor"),
        rq.Pad(20),
    )


class _SelectEvents(rq.Request):  # type: ignore[misc]
    _request = rq.Struct(
        rq.Card8("opcode"),
        rq.Opcode(1),
        rq.RequestLength(),
        rq.Card16("device"),
        rq.Card16("affect_which"),
        rq.Card16("clear"),
        rq.Card16("select_all"),
        rq.Card16("affect_map"),
        rq.Card16("map"),
    )


class _PerClientFlags(rq.ReplyRequest):  # type: ignore[misc]
    _request = rq.Struct(
        rq.Card8("opcode"),
        rq.Opcode(21),
        rq.RequestLength(),
        rq.Card16("device"),
        rq.Pad(2),
        rq.Card32("change"),
        rq.Card32("value"),
        rq.Card32("controls_to_change"),
        rq.Card32("auto_controls"),
        rq.Card32("auto_control_values"),
    )
    _reply = rq.Struct(
        rq.ReplyCode(),
        rq.Card8("device"),
        rq.Card16("sequence_number"),
        rq.ReplyLength(),
        rq.Card32("supported"),
        rq.Card32("value"),
        rq.Card32("auto_controls"),
        rq.Card32("auto_control_values"),
        rq.Pad(8),
    )


def tell_repeats_apart(display: Display) -> int | None:
    """Have a held key tell no releases before its last, and changes of the layout told.

    Returns:
        The type of the events that say that the layout changed; None where the server has no
        such extension.
    """
    extension = display.query_extension("XKEYBOARD")
    if extension is None or not extension.present:
        return None
    opcode = extension.major_opcode
    line = display.display
    used = _UseExtension(display=line, opcode=opcode, wanted_major=1, wanted_minor=0)
    if not used.supported:
        return None
    flags = _PerClientFlags(
        display=line,
        opcode=opcode,
        device=_CORE_KEYBOARD,
        change=_DETECTABLE_AUTO_REPEAT,
        value=_DETECTABLE_AUTO_REPEAT,
        controls_to_change=0,
        auto_controls=0,
        auto_control_values=0,
    )
    if not flags.value & _DETECTABLE_AUTO_REPEAT:
        return None
    # Whoever uses the extension hears of new layouts only when asked for.
    _SelectEvents(
        display=line,
        opcode=opcode,
        device=_CORE_KEYBOARD,
        affect_which=_NEW_KEYBOARD_AND_MAP,
        clear=0,
        select_all=_NEW_KEYBOARD_AND_MAP,
        affect_map=_ALL_PARTS,
        map=_ALL_PARTS,
    )
    return int(extension.first_event)
