"""Models and presets: whole, as delivered, and fitting each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from obs_stylizer.doctor import copyable
from obs_stylizer.doctor.checksums import Comparison, compare_bundled
from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.errors import ModelError, StylizerError
from obs_stylizer.inference.latent_model import load_latent_model
from obs_stylizer.inference.locate import lite_of, model_files, model_folders
from obs_stylizer.inference.native_model import NativeModel, load_mask_model, load_native_model
from obs_stylizer.inference.session import Precision
from obs_stylizer.inference.summary import summarise
from obs_stylizer.settings import bundled_folder, preset_folders
from obs_stylizer.styling.preset_check import check_preset


def examine(notes: Notes, situation: Situation) -> Iterator[Finding]:
    """Yield the findings of this area."""
    models = _Models()
    yield from _models(notes, models)
    yield from _presets(notes, situation, models)
    root = bundled_folder("onnx").parent
    yield from _hashes(notes, compare_bundled("obs-stylizer", root), root)


class _Models:
    """Reads each model file once, however many presets name it."""

    def __init__(self) -> None:
        self._known: dict[Path, NativeModel | ModelError] = {}

    def load(self, path: Path) -> NativeModel:
        """Return the model at ``path``.

        Raises:
            ModelError: it cannot be used.
        """
        if path not in self._known:
            try:
                self._known[path] = load_native_model(path)
            except ModelError as error:
                self._known[path] = error
        known = self._known[path]
        if isinstance(known, ModelError):
            raise known
        return known


def _models(notes: Notes, models: _Models) -> Iterator[Finding]:
    bundled, own = model_folders()
    files = model_files()
    good = []
    for name, path in files.items():
        try:
            _check_model(path, models)
        except ModelError as error:
            yield _broken_model(notes, name, error, own in path.parents)
        else:
            good.append(name)
    if not files:
        yield notes.fault("models", f"there is none in {bundled}", "", copyable.reinstall_program())
    elif good:
        yield notes.ok("models", f"{', '.join(good)}: whole and usable")


def _check_model(path: Path, models: _Models) -> None:
    """Check one model and its variants.

    Raises:
        ModelError: one of them cannot be used.
    """
    summary = summarise(path)
    if summary.latent is not None:
        load_latent_model(path)
        return
    if summary.finds_people:
        load_mask_model(path)
        return
    for full in filter(None, (path, lite_of(path))):
        model = models.load(full)
        for precision in (Precision.INT8, Precision.F16):
            variant = model.variant(precision)
            if variant is not None:
                models.load(variant)


def _broken_model(notes: Notes, name: str, error: ModelError, is_users: bool) -> Finding:
    if is_users:
        return notes.fault(f"model {name}", error.message, error.remedy)
    return notes.fault(f"model {name}", error.message, error.remedy, *_delivered_again())


def _presets(notes: Notes, situation: Situation, models: _Models) -> Iterator[Finding]:
    good = 0
    names = set()
    for folder in preset_folders():
        for path in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
            try:
                check_preset(path, models.load)
            except StylizerError as error:
                yield notes.fault(
                    f"preset {path.stem}",
                    error.message,
                    error.remedy,
                    copyable.program("presets", "validate", str(path)),
                )
            else:
                good += 1
                names.add(path.stem)
    if good:
        yield notes.ok("presets", f"{good} valid; yours go to {preset_folders()[1]}")
    else:
        yield notes.fault("presets", "there is no usable one", "", *_delivered_again())
    wanted = situation.settings.preset
    if wanted and wanted not in names:
        yield notes.fault(
            "starting preset",
            f"the configuration begins with “{wanted}”, which is not usable",
            "choose another:",
            copyable.program("presets", "list"),
        )


def _hashes(notes: Notes, comparison: Comparison, root: Path) -> Iterator[Finding]:
    if not comparison.compared_with:
        yield notes.ok(
            "hashes",
            "not compared: this copy has neither a package's list of hashes nor a git history",
        )
        return
    for word, paths in (("is missing", comparison.missing), ("was changed", comparison.changed)):
        for path in paths:
            name = path.relative_to(root).as_posix()
            seen = f"{name} {word} since it was delivered (by {comparison.compared_with})"
            if (root / ".git").exists():
                # Where one works on models and presets, a change is no accident.
                restore = copyable.command("git", "-C", str(root), "checkout", "--", name)
                yield notes.warning("hashes", seen, "to undo it:", restore)
            else:
                yield notes.fault("hashes", seen, "", *_delivered_again())
    if not comparison.missing and not comparison.changed:
        yield notes.ok(
            "hashes",
            f"{comparison.compared} bundled files are as delivered (by {comparison.compared_with})",
        )


def _delivered_again() -> tuple[str, ...]:
    root = bundled_folder("onnx").parent
    if (root / ".git").exists():
        return (copyable.command("git", "-C", str(root), "checkout", "--", "onnx", "presets"),)
    return (copyable.reinstall_program(),)
