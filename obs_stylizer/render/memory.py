"""What a stylizer remembers of earlier frames, taken out of it and put into another.

So a rendering that was interrupted, or that was spread over machines, goes on exactly where the
frames before ended.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np

from obs_stylizer.frames import Pixels
from obs_stylizer.styling.look import Look
from obs_stylizer.styling.stylizer import Stylizer

_FIRST, _SECOND = "last_input", "last_output"


@dataclass(frozen=True, slots=True)
class Memory:
    """The past of a stylizer.

    Attributes:
        shown: number of the cue that is shown; None before the first frame.
        order: numbers of the cues whose looks are held, the one on air last.
        fade: begin and length in seconds of a crossfade in progress, else None.
        last_seconds: time of the last frame.
        pictures: what the temporal smoothing of each look holds: the grey of its last input and
            its last output, uint8.
    """

    shown: int | None
    order: tuple[int, ...]
    fade: tuple[float, float] | None
    last_seconds: float | None
    pictures: Mapping[int, tuple[Pixels, Pixels]]

    def digest(self) -> str:
        """Return a fingerprint: equal where every later frame would come out the same."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Return it as bytes; equal memories give equal bytes."""
        head = {
            "shown": self.shown,
            "order": self.order,
            "fade": self.fade,
            "last_seconds": self.last_seconds,
            "shapes": {
                number: [list(part.shape) for part in pair]
                for number, pair in sorted(self.pictures.items())
            },
        }
        text = json.dumps(head, sort_keys=True).encode()
        out = BytesIO()
        out.write(len(text).to_bytes(8, "little"))
        out.write(text)
        for _, pair in sorted(self.pictures.items()):
            for part in pair:
                out.write(part.tobytes())
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Memory:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            ValueError: it is cut off or something else.
        """
        length = int.from_bytes(data[:8], "little")
        head = json.loads(data[8 : 8 + length])
        at = 8 + length
        pictures: dict[int, tuple[Pixels, Pixels]] = {}
        for number, shapes in head["shapes"].items():
            parts: list[Pixels] = []
            for shape in shapes:
                size = int(np.prod(shape))
                parts.append(np.frombuffer(data, np.uint8, size, at).reshape(shape).copy())
                at += size
            pictures[int(number)] = (parts[0], parts[1])
        return cls(
            shown=head["shown"],
            order=tuple(head["order"]),
            fade=None if head["fade"] is None else (head["fade"][0], head["fade"][1]),
            last_seconds=head["last_seconds"],
            pictures=pictures,
        )


# The stylizer has no door for this, so its inner parts are named here and nowhere else. A test
# fails when it comes to remember more than these.
STYLIZER_PARTS: Final = frozenset({"_look", "_fade", "_last_moment"})
SMOOTHER_PARTS: Final = frozenset({"_last_input", "_last_output"})


def remember(
    stylizer: Stylizer, shown: int | None, looks: Mapping[int, Look], order: Sequence[int]
) -> Memory:
    """Return what ``stylizer`` remembers. ``looks`` are those of the cues in ``order``."""
    fade = stylizer._fade
    fading = fade is not None and fade.began is not None
    held = tuple(order if fading else order[-1:])
    pictures: dict[int, tuple[Pixels, Pixels]] = {}
    for number in held:
        smoother = looks[number]._smoother
        if smoother is None:
            continue
        first, second = smoother._last_input, smoother._last_output
        if first is not None and second is not None:
            pictures[number] = (first.copy(), second.copy())
    return Memory(
        shown=shown,
        order=held,
        fade=(fade.began, fade.seconds) if fade is not None and fade.began is not None else None,
        last_seconds=stylizer._last_moment,
        pictures=pictures,
    )


def recall(memory: Memory, stylizer: Stylizer, looks: Mapping[int, Look]) -> None:
    """Make ``stylizer`` remember ``memory``; ``looks`` are fresh ones of the same cues."""
    for number, (first, second) in memory.pictures.items():
        smoother = looks[number]._smoother
        if smoother is None:
            raise ValueError(f"cue {number} has no temporal smoothing")
        smoother._last_input, smoother._last_output = first.copy(), second.copy()
    for place, number in enumerate(memory.order):
        fades = place > 0 and memory.fade is not None
        stylizer.switch_to(looks[number], 1000 * memory.fade[1] if fades and memory.fade else 0)
    if memory.fade is not None and stylizer._fade is not None:
        stylizer._fade.began, stylizer._fade.seconds = memory.fade
    stylizer._last_moment = memory.last_seconds
