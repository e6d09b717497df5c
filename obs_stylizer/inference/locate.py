"""Where model files are: the bundled ones, the user's own, and any path."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from obs_stylizer.errors import ModelError
from obs_stylizer.inference.session import Precision
from obs_stylizer.settings import bundled_folder, config_folder

LITE = "lite"
VARIANTS = (str(Precision.INT8), str(Precision.F16), LITE)
"""What a file beside a model may be: weights of another precision, or less work."""


def model_folders() -> tuple[Path, Path]:
    """The bundled models and the user's own; the latter win."""
    return bundled_folder("onnx"), config_folder() / "models"


def model_files() -> dict[str, Path]:
    """Return every model by name, sorted; lite variants and other precisions are left out."""
    found = {path.stem: path for folder in model_folders() for path in _files(folder)}
    return dict(sorted(found.items()))


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        for path in sorted(folder.glob("*.onnx")):
            # A Mac leaves a twin “._name.onnx” on other disks.
            if not path.name.startswith(".") and not path.stem.endswith(
                tuple(f".{variant}" for variant in VARIANTS)
            ):
                yield path


def variant_of(path: Path, variant: str) -> Path | None:
    """Return the file beside a model that is this one of :data:`VARIANTS`, if there is one."""
    beside = path.with_name(f"{path.stem}.{variant}.onnx")
    return beside if beside.is_file() else None


def lite_of(path: Path) -> Path | None:
    """Return the lite variant beside a model: less work and a plainer picture, the same styles."""
    return variant_of(path, LITE)


def find_model(model: str | Path, relative_to: Path | None = None) -> Path:
    """Return the file that a preset or a user means.

    Args:
        model: a name, as in ``paintings`` or ``paintings.lite``, or a path with or without
            folders that ends in ``.onnx``. A file of that path goes before a name.
        relative_to: folder that a relative path starts from; None for the working folder.

    Raises:
        ModelError: there is neither such a file nor such a name.
    """
    path = Path(model).expanduser()
    beside = path if relative_to is None else relative_to / path
    if beside.is_file():
        return beside
    known = model_files()
    name = path.name.removesuffix(".onnx")
    if len(path.parts) == 1 and name in known:
        return known[name]
    full = known.get(name.removesuffix(f".{LITE}"))
    if len(path.parts) == 1 and full is not None and (lite := lite_of(full)):
        return lite
    if len(path.parts) > 1 or path.suffix == ".onnx":
        raise ModelError(f"there is no model file {beside}", "see: obs-stylizer models list")
    near = get_close_matches(name, known, n=1)
    raise ModelError(
        f"there is no model “{model}”",
        f"did you mean “{near[0]}”?" if near else "see: obs-stylizer models list",
    )
