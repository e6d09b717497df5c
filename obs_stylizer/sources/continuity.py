"""Time that goes on where a stream's own clock jumps, as in recordings that were put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from av.container import InputContainer
from av.packet import Packet

# AVFMT_TS_DISCONT, in FFmpeg's flags of a container.
_TS_DISCONT: Final = 0x0200
# By as much may a clock go back, and go ahead, without having jumped, in seconds. A picture may
# stand for long, so going ahead means little.
_BACK: Final = Fraction(1, 10)
_AHEAD: Final = Fraction(60)


@dataclass(slots=True)
class _Clock:
    """Where one stream is: jumps so far, the last time and the one expected next, in seconds."""

    jumps: int = 0
    last: Fraction | None = None
    following: Fraction | None = None

    def has_jumped(self, moment: Fraction) -> bool:
        if self.last is None or self.following is None:
            return False
        return moment + _BACK < self.last or abs(moment - self.following) > _AHEAD


class Continuity:
    """Corrects the times of packets, read from the start of a file, in place.

    Args:
        container: only some kinds have clocks that may jump.
        offsets: seconds to add after every jump, where they are known; all streams of a file jump
            by the same. Else the first stream that jumps decides.
    """

    def __init__(self, container: InputContainer, offsets: Sequence[Fraction] = ()) -> None:
        self._jumps = bool(container.format.flags & _TS_DISCONT)
        self.offsets = list(offsets)
        self._clocks: dict[int, _Clock] = {}

    def correct(self, packet: Packet[Any]) -> None:
        """Move a packet to where its stream goes on."""
        if not self._jumps or packet.dts is None or packet.time_base is None:
            return
        clock = self._clocks.setdefault(packet.stream_index, _Clock())
        read = packet.dts * packet.time_base
        moment = read + self._offset(clock)
        if clock.has_jumped(moment):
            assert clock.following is not None
            clock.jumps += 1
            if clock.jumps > len(self.offsets):
                self.offsets.append(clock.following - read)
            moment = read + self._offset(clock)
        if packet.duration:
            step = packet.duration * packet.time_base
        else:
            step = Fraction(0) if clock.last is None else max(Fraction(0), moment - clock.last)
        clock.last, clock.following = moment, moment + step
        ticks = round(self._offset(clock) / packet.time_base)
        if ticks:
            packet.dts += ticks
            packet.pts = None if packet.pts is None else packet.pts + ticks

    def _offset(self, clock: _Clock) -> Fraction:
        return self.offsets[clock.jumps - 1] if clock.jumps else Fraction(0)
