"""Packets of the streams that are copied, with the times they have in the new file."""

from __future__ import annotations

import logging
import math
from fractions import Fraction
from typing import Any, Final

from av.packet import Packet

from obs_stylizer.sources.continuity import Continuity

log = logging.getLogger(__name__)

# Sound ahead of the first picture that a decoder may need to begin, in seconds. A container with
# edit lists hides it; in others it is heard, so there no more than one packet is kept.
_PRE_ROLL: Final = {".mp4": Fraction(1, 10), ".mov": Fraction(1, 10)}
_LITTLE_PRE_ROLL: Final = Fraction(3, 100)


class CopiedPackets:
    """Fits packets into a file.

    Args:
        name: of the clip, for people.
        suffix: of the container.
        shift: seconds at which the clip begins, and which the file begins without.
        continuity: of the clip, read from its start.
    """

    def __init__(self, name: str, suffix: str, shift: Fraction, continuity: Continuity) -> None:
        self._name = name
        self._pre_roll = _PRE_ROLL.get(suffix, _LITTLE_PRE_ROLL)
        # Matroska takes two packets at the same time.
        self._step = 1 if suffix in _PRE_ROLL else 0
        self._shift = shift
        self._continuity = continuity
        self._last: dict[int, int] = {}
        self._warned = False

    def fit(self, packet: Packet[Any], target: Any) -> bool:
        """Give a packet its new time; return False for one that does not belong into the file.

        Args:
            packet: as it was read.
            target: the stream that it goes into, once the file's header is written.
        """
        if not packet.size or packet.time_base is None:
            return False
        self._continuity.correct(packet)
        if self._shift:
            ticks = round(self._shift / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.dts = None if packet.dts is None else packet.dts - ticks
        if packet.pts is not None and not self._belongs(packet, packet.pts * packet.time_base):
            return False
        _rescale(packet, target.time_base)
        if packet.dts is not None:
            self._keep_in_order(packet, packet.dts)
        packet.stream = target
        return True

    def _belongs(self, packet: Packet[Any], moment: Fraction) -> bool:
        if packet.is_discard:
            # An edit list cuts it away; what a decoder needs to begin is kept.
            return -self._pre_roll <= moment < 0
        if packet.stream.type == "subtitle" and moment < 0:
            # A line from before the beginning would move everything else back.
            length = (packet.duration or 0) * packet.time_base
            if moment + length <= 0:
                return False
            packet.pts = packet.dts = 0
            packet.duration = round((moment + length) / packet.time_base)
        return True

    def _keep_in_order(self, packet: Packet[Any], stamp: int) -> None:
        """Muxers refuse packets that go back in time; those are moved, as FFmpeg does it."""
        index = packet.stream_index
        last = self._last.get(index)
        least = stamp if last is None else last + self._step
        if last is not None and stamp < least and packet.stream.type != "subtitle":
            # One tick is how containers round, and nothing to tell.
            if not self._warned and stamp < last:
                self._warned = True
                log.warning(
                    "%s: stream %d has time stamps that go back; these are moved", self._name, index
                )
            stamp = least
            packet.dts = stamp
            packet.pts = stamp if packet.pts is None else max(packet.pts, stamp)
        if last is not None and not packet.duration and packet.stream.type == "audio":
            # Else the file would end where the last one begins.
            packet.duration = stamp - last
        self._last[index] = stamp


def _rescale(packet: Packet[Any], time_base: Fraction) -> None:
    """Give a packet's times in other ticks, rounded as FFmpeg does."""
    assert packet.time_base is not None
    factor = packet.time_base / time_base
    if factor == 1:
        return
    packet.pts = None if packet.pts is None else _nearest(packet.pts * factor)
    packet.dts = None if packet.dts is None else _nearest(packet.dts * factor)
    packet.duration = _nearest((packet.duration or 0) * factor)
    packet.time_base = time_base


def _nearest(value: Fraction) -> int:
    """Return the nearest whole number, from a half away from zero."""
    rounded = math.floor(abs(value) + Fraction(1, 2))
    return rounded if value >= 0 else -rounded
