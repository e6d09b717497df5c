"""Which key codes and modifier bits an X server has for a combination, by its layout of now."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Final

from Xlib import X

from obs_stylizer.control.hotkeys.combination import Combination, Modifier
from obs_stylizer.control.hotkeys.keys import Key

if TYPE_CHECKING:
    from Xlib.display import Display

_ALT: Final = (0xFFE9, 0xFFEA)
_SUPER: Final = (0xFFEB, 0xFFEC)
_NUM_LOCK: Final = (0xFF7F,)
_SCROLL_LOCK: Final = (0xFF14,)

_F12: Final = 0xFFC9
_F13: Final = 0xFFCA
_F12_KEYCODE: Final = 96
"""Of Linux's own numbering of keys."""
_F13_KEYCODE: Final = 191
"""The same. Usual layouts call F13 to F24 by other names, but keyboards and Stream Decks send
them."""


class Layout:
    """The keys of a server as they are now; made anew when they change."""

    def __init__(self, display: Display) -> None:
        first, last = display.display.info.min_keycode, display.display.info.max_keycode
        rows = display.get_keyboard_mapping(first, last - first + 1)
        self._symbols = {first + offset: tuple(row) for offset, row in enumerate(rows)}
        modifiers = display.get_modifier_mapping()
        self._bits = {
            Modifier.CTRL: X.ControlMask,
            Modifier.SHIFT: X.ShiftMask,
            Modifier.ALT: self._bit_of(_ALT, modifiers) or X.Mod1Mask,
            Modifier.SUPER: self._bit_of(_SUPER, modifiers) or X.Mod4Mask,
        }
        self.relevant = 0
        for bit in self._bits.values():
            self.relevant |= bit
        num_lock = self._bit_of(_NUM_LOCK, modifiers)
        scroll_lock = self._bit_of(_SCROLL_LOCK, modifiers)
        locks = sorted({X.LockMask, num_lock, scroll_lock} - {0, *self._bits.values()})
        self.lock_states = tuple(
            sum(chosen) for count in range(len(locks) + 1) for chosen in combinations(locks, count)
        )
        """Every state that NumLock, CapsLock and ScrollLock can be in, as bits."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layout):
            return NotImplemented
        return (self._symbols, self._bits, self.lock_states) == (
            other._symbols,
            other._bits,
            other.lock_states,
        )

    __hash__ = None  # type: ignore[assignment]

    def _bit_of(self, keysyms: Sequence[int], modifiers: Sequence[Sequence[int]]) -> int:
        for index, keycodes in enumerate(modifiers):
            for keycode in keycodes:
                if keycode and set(self._symbols.get(keycode, ())) & set(keysyms):
                    return 1 << index
        return 0

    def bits(self, combination: Combination) -> int:
        """Return the modifiers of a combination as the server's bits."""
        total = 0
        for modifier in combination.modifiers:
            total |= self._bits[modifier]
        return total

    def keycodes(self, key: Key) -> tuple[int, ...]:
        """Return the codes of the keys that write it in the earliest place; empty for none.

        A digit above a French keyboard's signs, or a Latin letter in a second layout, is found
        too; the first layout counts first.
        """
        found: dict[int, list[int]] = {}
        for keycode, symbols in self._symbols.items():
            if key.keysym in symbols:
                found.setdefault(symbols.index(key.keysym), []).append(keycode)
        if found:
            return tuple(found[min(found)])
        offset = key.keysym - _F13
        if 0 <= offset < 12 and _F12 in self._symbols.get(_F12_KEYCODE, ()):
            return (_F13_KEYCODE + offset,)
        return ()
