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

import numpy as np

from obs_stylizer.frames import Pixels
from obs_stylizer.styling.loaded_preset import LoadedPreset, Past
from obs_stylizer.styling.stylizer import Stylizer


@dataclass(frozen=True, slots=True)
class Memory:
    """The past of a stylizer.

    Attributes:
        shown: number of the cue that is shown; None before the first frame.
        order: numbers of the cues whose presets are held, the one on air last.
        fade: begin and length in seconds of a crossfade in progress, else None.
        last_seconds: time of the last frame.
        pictures: what the coherence of each preset holds.
    """

    shown: int | None
    order: tuple[int, ...]
    fade: tuple[float, float] | None
    last_seconds: float | None
    pictures: Mapping[int, Past]

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
                number: [list(part.shape) for part in past]
                for number, past in sorted(self.pictures.items())
            },
        }
        text = json.dumps(head, sort_keys=True).encode()
        out = BytesIO()
        out.write(len(text).to_bytes(8, "little"))
        out.write(text)
        for _, past in sorted(self.pictures.items()):
            for part in past:
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
        pictures: dict[int, Past] = {}
        for number, shapes in head["shapes"].items():
            parts: list[Pixels] = []
            for shape in shapes:
                size = int(np.prod(shape))
                parts.append(np.frombuffer(data, np.uint8, size, at).reshape(shape).copy())
                at += size
            pictures[int(number)] = tuple(parts)
        return cls(
            shown=head["shown"],
            order=tuple(head["order"]),
            fade=None if head["fade"] is None else (head["fade"][0], head["fade"][1]),
            last_seconds=head["last_seconds"],
            pictures=pictures,
        )


def remember(
    stylizer: Stylizer,
    shown: int | None,
    loaded_presets: Mapping[int, LoadedPreset],
    order: Sequence[int],
) -> Memory:
    """Return what ``stylizer`` remembers. ``loaded_presets`` are those of the cues in ``order``."""
    fade = stylizer.crossfade
    held = tuple(order if fade is not None else order[-1:])
    pasts = {number: loaded_presets[number].memory() for number in held}
    return Memory(
        shown=shown,
        order=held,
        fade=fade,
        last_seconds=stylizer.last_moment,
        pictures={number: past for number, past in pasts.items() if past is not None},
    )


def recall(memory: Memory, stylizer: Stylizer, loaded_presets: Mapping[int, LoadedPreset]) -> None:
    """Make ``stylizer`` remember ``memory``; ``loaded_presets`` are fresh ones of the same cues."""
    for number, past in memory.pictures.items():
        loaded_presets[number].recall(past)
    stylizer.go_on(
        [loaded_presets[number] for number in memory.order], memory.fade, memory.last_seconds
    )
