"""Whether a preset's file, the generators that it names and their styles go together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from obs_stylizer.errors import PresetError
from obs_stylizer.inference.generator import known_styles
from obs_stylizer.inference.locate import find_model
from obs_stylizer.inference.native_model import NativeModel, load_mask_model, load_native_model
from obs_stylizer.presets import load_preset
from obs_stylizer.segmentation.mask_session import MASK_MODEL


def check_preset(path: Path, load: Callable[[Path], NativeModel] = load_native_model) -> None:
    """Check one preset file and the generators and styles that it and its sides name.

    Args:
        path: the preset.
        load: of a generator, for whoever checks many presets of the same ones.

    Raises:
        PresetError: the file is wrong.
        ModelError: its generator is, or the mask network of a preset with sides.
    """
    preset = load_preset(path)
    named = [("", preset.model, preset.styles)]
    for place in ("person", "background"):
        side = getattr(preset, place)
        if side is not None and side.has_style:
            named.append((f"{place}.", side.model or preset.model, side.styles))
    for where, name, styles in named:
        if not name:
            continue
        model = load(find_model(name, path.parent))
        known = known_styles(model)
        unknown = next((style for style in styles if style not in known), None)
        if unknown is not None:
            raise PresetError(
                f"the generator {model.spec.name} has no style “{unknown}”",
                f"it has: {', '.join(known) or 'none'}",
                path=path,
                key=f"{where}styles.{unknown}",
            )
    if preset.has_sides:
        load_mask_model(find_model(MASK_MODEL))
