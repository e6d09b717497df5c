"""Installing and removing style packs: a pack in its folder, and a preset that shows it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from obs_stylizer.errors import ModelError, StylizerError, UsageError
from obs_stylizer.inference.locate import find_model, model_files
from obs_stylizer.inference.native_model import NativeModel, load_native_model
from obs_stylizer.inference.style_packs import (
    MAX_INSTALLED,
    SUFFIX,
    StylePack,
    installed_packs,
    styles_folder,
    write_pack,
)
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.settings import preset_folders
from obs_stylizer.yaml_text import write_yaml

log = logging.getLogger(__name__)

_PRESET: Final = {"process_size": "640x360", "crossfade_ms": 400}
"""What the presets of learnt and installed styles begin with."""
_NAME_LENGTH: Final = 60


def generator_of(pack: StylePack) -> NativeModel:
    """Return the generator that a pack belongs to.

    Raises:
        ModelError: it is not there, or only in another version; both are named.
    """
    try:
        model = load_native_model(find_model(pack.generator))
    except ModelError as cause:
        raise ModelError(
            f"the style {pack.name} belongs to the generator {pack.generator}, which is not here",
            f"there are: {', '.join(model_files()) or 'none'}",
        ) from cause
    if model.rows is None or model.spec.weights_hash != pack.weights_hash:
        raise ModelError(
            f"the style {pack.name} belongs to {pack.generator} {pack.weights_hash[:8]}, and here "
            f"is {model.spec.name} {model.spec.weights_hash[:8] or 'without rows'}",
            "learn the picture again: obs-stylizer learn --quick PICTURE",
        )
    if pack.values.shape != (model.style_length,):
        raise ModelError(
            f"the style {pack.name} holds {pack.values.size} numbers, and {pack.generator} takes "
            f"{model.style_length}",
            "the file is damaged; ask for it again",
        )
    return model


def style_name(text: str) -> str:
    """Return ``text`` as the name of a style: lower-case words joined by hyphens.

    Raises:
        UsageError: nothing is left of it.
    """
    name = "-".join(re.findall(r"[a-z0-9]+", text.lower()))[:_NAME_LENGTH].strip("-")
    if not name:
        raise UsageError(f"“{text}” gives no name", "name it with letters from a to z or digits")
    return name


def style_title(name: str) -> str:
    """Return what a style is called of whose name nothing else is known."""
    return name.replace("-", " ").capitalize()


def refuse_taken(name: str, model: NativeModel) -> None:
    """Refuse a name for a new style that another style or preset has.

    Raises:
        UsageError: it is taken.
    """
    if name in model.spec.styles:
        raise UsageError(
            f"{model.spec.name} brings a style {name} itself", "choose another name with --name"
        )
    if name in installed_packs().all() or (styles_folder() / f"{name}{SUFFIX}").exists():
        raise UsageError(
            f"there is a style {name} already",
            f"choose another name with --name, or: obs-stylizer styles remove {name}",
        )
    refuse_taken_presets([name])


def refuse_taken_presets(
    names: Iterable[str], remedy: str = "choose another name with --name"
) -> None:
    """Refuse names for new presets of which another one has any.

    Raises:
        UsageError: one is taken; ``remedy`` is what to do then.
    """
    bundled, own = preset_folders()
    taken = PresetLibrary([bundled, own], bundled).names()
    for name in names:
        if name in taken:
            raise UsageError(f"there is a preset {name} already", remedy)


def free_name(name: str) -> str:
    """Return ``name``, or with the first number behind it that no style and no preset has."""
    for number in range(1, MAX_INSTALLED + 2):
        tried = name if number == 1 else f"{name}-{number}"
        places = [folder / f"{tried}.yaml" for folder in preset_folders()]
        if not any(path.exists() for path in (*places, styles_folder() / f"{tried}{SUFFIX}")):
            break
    return tried


def install(pack: StylePack, replace: bool = False) -> Path:
    """Install ``pack``, and make a preset of its name.

    Args:
        pack: what to install.
        replace: whether an installed style of that name, and its preset, may be overwritten.

    Returns:
        The preset's file.

    Raises:
        ModelError: it belongs to no generator here, or cannot be written.
        UsageError: the name is taken.
    """
    model = generator_of(pack)
    known = installed_packs().all()
    if not (replace and pack.name in known):
        refuse_taken(pack.name, model)
        if len(known) >= MAX_INSTALLED:
            raise UsageError(
                f"there are {len(known)} styles already", "remove one: obs-stylizer styles remove"
            )
    write_pack(pack, styles_folder() / f"{pack.name}{SUFFIX}")
    path = preset_path(pack.name)
    return path if path.exists() else write_preset(pack.name, _preset(pack), pack.picture)


def preset_path(name: str) -> Path:
    """Return the file of a preset of the user's own."""
    return preset_folders()[1] / f"{name}.yaml"


def write_preset(name: str, values: Mapping[str, Any], picture: bytes | None = None) -> Path:
    """Write the preset of a style that was learnt or installed.

    Args:
        name: of the preset.
        values: its keys, besides those that all such presets have.
        picture: a JPEG to show it by.

    Returns:
        Its file.

    Raises:
        ModelError: it cannot be written.
    """
    path = preset_path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(write_yaml({**values, **_PRESET}), "utf-8")
        if picture:
            path.with_suffix(".jpg").write_bytes(picture)
    except OSError as cause:
        raise ModelError(
            f"{path} cannot be written: {cause.strerror or cause}", "make room on the disk"
        ) from cause
    return path


def remove(name: str) -> list[Path]:
    """Remove an installed style, and its preset where that shows nothing else.

    Returns:
        The files that are gone.

    Raises:
        UsageError: there is no such style.
        ModelError: a file cannot be removed.
    """
    path = styles_folder() / f"{name}{SUFFIX}"
    installed = installed_packs().all()
    if name not in installed and (Path(name).name != name or not path.is_file()):
        raise UsageError(f"there is no installed style {name}", "see: obs-stylizer styles list")
    gone = [path]
    preset = preset_path(name)
    if preset.is_file() and _shows_only(preset, name):
        gone.append(preset)
        gone += [picture] if (picture := preset.with_suffix(".jpg")).is_file() else []
    try:
        for file in gone:
            file.unlink(missing_ok=True)
    except OSError as cause:
        raise ModelError(f"{cause.filename} cannot be removed: {cause.strerror}") from cause
    return gone


def _preset(pack: StylePack) -> dict[str, Any]:
    preset = {
        "title": pack.title,
        "description": pack.description,
        "model": pack.generator,
        "styles": {pack.name: 1},
        "licence": pack.licence,
        "author": pack.author,
    }
    return {key: value for key, value in preset.items() if value}


def _shows_only(path: Path, name: str) -> bool:
    library = PresetLibrary([path.parent])
    try:
        return set(library.get(name).preset.styles) == {name}
    except StylizerError:
        return False
