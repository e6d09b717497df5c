"""A preset of two sides taken apart: into layers that generators make, and the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from obs_stylizer.presets import NamedPreset, Preset, Side
from obs_stylizer.styling.sides import SIDES, SideName


@dataclass(frozen=True, slots=True)
class Division:
    """What the sides of a preset show.

    Attributes:
        layers: one or two presets without sides; one with a generator comes first.
        layer_of: which of them a side shows.
        pictures: the sides that show none of them.
    """

    layers: tuple[NamedPreset, ...]
    layer_of: Mapping[SideName, int]
    pictures: Mapping[SideName, Side]

    @property
    def reads_files(self) -> bool:
        """Whether a picture or a film must be opened, which takes its time."""
        return any(side.picture or side.source for side in self.pictures.values())


def divide(named: NamedPreset) -> Division:
    """Take a preset with sides apart."""
    preset = named.preset
    whole = preset.model_copy(update={"person": None, "background": None})
    shown: dict[SideName, Preset] = {}
    pictures: dict[SideName, Side] = {}
    for place in SIDES:
        side: Side | None = getattr(preset, place)
        if side is None:
            shown[place] = whole
        elif side.has_style:
            shown[place] = _styled(whole, side)
        else:
            pictures[place] = side
    layers: list[Preset] = []
    for layer in sorted(shown.values(), key=lambda layer: not layer.model):
        if layer not in layers:
            layers.append(layer)
    # The geometry and the crossfade are the preset's even where no side has a style.
    made = layers or [whole.model_copy(update={"model": "", "styles": {}})]
    return Division(
        tuple(replace(named, preset=layer) for layer in made),
        {place: layers.index(layer) for place, layer in shown.items()},
        pictures,
    )


def _styled(whole: Preset, side: Side) -> Preset:
    return whole.model_copy(
        update={
            "model": side.model or whole.model,
            "styles": side.styles,
            "strength": side.strength,
            "process_size": side.process_size or whole.process_size,
            "before": side.before,
            "after": side.after,
        }
    )
