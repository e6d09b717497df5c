"""``obs-stylizer presets``: list, show, validate, and show in pictures."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.progress import track

from obs_stylizer.cli.console import JSON_OPTION, error_console, print_json, print_table
from obs_stylizer.errors import StylizerError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.session import Precision, SessionOptions
from obs_stylizer.presets import NamedPreset, PresetLibrary
from obs_stylizer.settings import preset_folders
from obs_stylizer.styling.preset_check import check_preset

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


@app.command(
    "gallery",
    epilog="Example:  obs-stylizer presets gallery me.jpg room.jpg --output styles.jpg",
)
def make_gallery(
    pictures: list[Path] = typer.Argument(help="Pictures to show the styles on."),
    output: Path = typer.Option(Path("gallery.jpg"), help="Picture to write; .jpg or .png."),
    preset: list[str] | None = typer.Option(None, help="Only these; may be given several times."),
    across: int = typer.Option(4, min=1, max=20, help="Styles beside each other."),
    size: str = typer.Option("480x270", metavar="WxH", help="Size of each picture."),
    precision: Precision = typer.Option(Precision.F32, help="Number format of the generators."),
) -> None:
    """Show every style on your own pictures, in one picture."""
    from obs_stylizer.sources.image import load_picture
    from obs_stylizer.styling.gallery import contact_sheet, save_picture, stylized_stills

    each = FrameSize.parse(size)
    library = open_library()
    chosen = [library.get(name) for name in preset] if preset else library.all()
    plain = [load_picture(path)[0] for path in pictures]
    columns: list[tuple[str, list[Pixels]]] = [("as it is", plain)]
    options = SessionOptions(precision=precision)
    # At the usual size of the picture on air, so that it looks as it does there.
    made = stylized_stills(plain, chosen, FrameSize(1280, 720), options)
    for named, stills in track(
        made, "styles", total=len(chosen), console=error_console(), transient=True
    ):
        columns.append((named.preset.title, stills))
    save_picture(contact_sheet(columns, across, each), output)
    typer.echo(f"written: {output}")


@app.command(
    "thumbnails", epilog="Example:  obs-stylizer presets thumbnails me.jpg --folder my-presets"
)
def make_thumbnails(
    picture: Path = typer.Argument(help="Picture to show the styles on."),
    folder: Path | None = typer.Option(None, help="Where to write them; else beside each preset."),
    preset: list[str] | None = typer.Option(None, help="Only these; may be given several times."),
) -> None:
    """Write a small picture for each preset, NAME.jpg, for the panel."""
    from obs_stylizer.sources.image import load_picture
    from obs_stylizer.styling.gallery import THUMBNAIL, save_picture, stylized_stills
    from obs_stylizer.styling.geometry import reshape

    library = open_library()
    chosen = [library.get(name) for name in preset] if preset else library.all()
    plain = load_picture(picture)[0]
    options = SessionOptions(precision=Precision.F32)
    for named, (still,) in stylized_stills([plain], chosen, FrameSize(1280, 720), options):
        path = (folder or named.path.parent) / f"{named.name}.jpg"
        save_picture(reshape(still, THUMBNAIL), path)
        typer.echo(f"written: {path}")


def _as_dict(named: NamedPreset) -> dict[str, object]:
    return {
        "name": named.name,
        "file": str(named.path),
        "bundled": named.bundled,
        **named.preset.model_dump(),
    }
