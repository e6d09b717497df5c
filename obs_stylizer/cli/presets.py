"""``obs-stylizer presets``: list, show, validate."""

from __future__ import annotations

from pathlib import Path

import typer

from obs_stylizer.cli.console import JSON_OPTION, print_json, print_table
from obs_stylizer.errors import PresetError, StylizerError
from obs_stylizer.inference.locate import find_model
from obs_stylizer.inference.native_model import load_native_model
from obs_stylizer.presets import NamedPreset, PresetLibrary, load_preset
from obs_stylizer.settings import preset_folders

app = typer.Typer(help="The styles there are.", no_args_is_help=True)


def open_library() -> PresetLibrary:
    """Return the library of bundled and user's presets."""
    folders = preset_folders()
    return PresetLibrary(folders, bundled=folders[0])


@app.command("list", epilog="Example:  obs-stylizer presets list --json")
def list_presets(as_json: bool = JSON_OPTION) -> None:
    """List all presets."""
    library = open_library()
    if as_json:
        print_json(
            {
                "presets": [_as_dict(named) for named in library.all()],
                "errors": {str(path): str(error) for path, error in library.errors.items()},
            }
        )
        return
    rows = []
    for named in library.all():
        preset = named.preset
        mix = ", ".join(f"{name} {weight:g}" for name, weight in preset.styles.items())
        rows.append(
            (
                named.name,
                preset.title,
                preset.model + (f" ({mix})" if mix else ""),
                f"{preset.strength:g}",
                preset.hotkey,
                "bundled" if named.bundled else "yours",
            )
        )
    print_table(("name", "title", "generator", "strength", "hotkey", "from"), rows)
    typer.echo(f"Your own presets go to {preset_folders()[1]}")


@app.command("show", epilog="Example:  obs-stylizer presets show great-wave")
def show_preset(
    name: str = typer.Argument(help="Name of a preset."), as_json: bool = JSON_OPTION
) -> None:
    """Show everything one preset says."""
    named = open_library().get(name)
    if as_json:
        print_json(_as_dict(named))
        return
    typer.echo(f"# {named.path}")
    typer.echo(named.path.read_text("utf-8").rstrip())


@app.command("validate", epilog="Example:  obs-stylizer presets validate my-style.yaml")
def validate_presets(
    files: list[Path] = typer.Argument(None, help="Preset files; none for all there are."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Check presets and the generators they name; exit code 1 if one is wrong."""
    if not files:
        files = [
            path
            for folder in preset_folders()
            if folder.is_dir()
            for path in sorted(folder.glob("*.yaml"))
        ]
    problems: dict[str, str] = {}
    for path in files:
        try:
            check_preset(path)
        except StylizerError as error:
            problems[str(path)] = str(error)
    if as_json:
        print_json([{"file": str(p), "error": problems.get(str(p), "")} for p in files])
    else:
        for path in files:
            typer.echo(f"{path}: {problems.get(str(path)) or 'ok'}")
    if problems:
        raise typer.Exit(1)


def check_preset(path: Path) -> None:
    """Check one preset file and the generator and styles it names.

    Raises:
        PresetError: the file is wrong; ModelError: its generator is.
    """
    preset = load_preset(path)
    if not preset.model:
        return
    spec = load_native_model(find_model(preset.model, path.parent)).spec
    for style in preset.styles:
        if style not in spec.styles:
            raise PresetError(
                f"the generator {spec.name} has no style “{style}”",
                f"it has: {', '.join(spec.styles) or 'none'}",
                path=path,
                key=f"styles.{style}",
            )


def _as_dict(named: NamedPreset) -> dict[str, object]:
    return {
        "name": named.name,
        "file": str(named.path),
        "bundled": named.bundled,
        **named.preset.model_dump(),
    }
