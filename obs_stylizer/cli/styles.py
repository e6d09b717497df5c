"""``obs-stylizer styles``: the styles there are, and packs of them to keep and to pass on."""

from __future__ import annotations

from pathlib import Path

import typer

from obs_stylizer.cli.console import JSON_OPTION, print_json, print_table
from obs_stylizer.errors import ModelError, UsageError
from obs_stylizer.inference.locate import find_model, model_files
from obs_stylizer.inference.native_model import NativeModel, load_native_model
from obs_stylizer.inference.style_packs import (
    SUFFIX,
    StylePack,
    installed_packs,
    read_pack,
    write_pack,
)
from obs_stylizer.inference.style_rows import row_text
from obs_stylizer.styling.installed_styles import install, remove

app = typer.Typer(help="Styles, and packs to pass them on.", no_args_is_help=True)


@app.command("list")
def list_styles(as_json: bool = JSON_OPTION) -> None:
    """List the styles that generators bring, and those that are installed."""
    rows: list[tuple[str, str, str, str, str]] = []
    hashes: dict[str, str] = {}
    for name, path in model_files().items():
        try:
            model = load_native_model(path)
        except ModelError:
            # “models list” says what is wrong with it.
            continue
        hashes[name] = model.spec.weights_hash
        rows += [(style, "", name, model.spec.licence, "") for style in model.spec.styles]
    for pack in installed_packs().all().values():
        fits = hashes.get(pack.generator) == pack.weights_hash
        state = "installed" if fits else "for another version: learn it again"
        rows.append((pack.name, pack.title, pack.generator, pack.licence, state))
    columns = ("name", "title", "generator", "licence", "installed")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    print_table(columns, rows)


@app.command("install", epilog="Example:  obs-stylizer styles install sunset.style")
def install_styles(
    packs: list[Path] = typer.Argument(help="Style packs: NAME.style."),
    replace: bool = typer.Option(False, help="Overwrite an installed style of that name."),
) -> None:
    """Install style packs; each becomes a preset of its name, also while on air."""
    for path in packs:
        preset = install(read_pack(path), replace)
        typer.echo(f"installed: {path.name}, as the preset {preset.stem}")


@app.command("remove")
def remove_styles(names: list[str] = typer.Argument(help="Names of installed styles.")) -> None:
    """Remove installed styles and their presets."""
    for name in names:
        for gone in remove(name):
            typer.echo(f"removed: {gone}")


@app.command("pack", epilog="Example:  obs-stylizer styles pack sunset --author “me”")
def pack_style(
    name: str = typer.Argument(help="An installed style, or one that a generator brings."),
    output: Path | None = typer.Option(None, help="File to write; NAME.style if left out."),
    author: str = typer.Option("", help="Who made it."),
    licence: str = typer.Option("", help="What others may do with it, as in CC-BY-4.0."),
    title: str = typer.Option("", help="Its name for people."),
) -> None:
    """Write one style into a small file for others."""
    pack = installed_packs().all().get(name) or _bundled(name)
    given = {"author": author, "licence": licence, "title": title}
    pack = StylePack.model_validate(
        {**pack.model_dump(), **{key: value for key, value in given.items() if value}}
    )
    path = output or Path(f"{pack.name}{SUFFIX}")
    write_pack(pack, path)
    typer.echo(f"written: {path} ({path.stat().st_size / 1000:.0f} KB)")


def _bundled(name: str) -> StylePack:
    """Return a style that a generator brings as a pack.

    Raises:
        UsageError: there is no such style.
    """
    known: list[str] = []
    for path in model_files().values():
        try:
            model: NativeModel = load_native_model(find_model(path))
        except ModelError:
            continue
        known += model.spec.styles
        if model.rows is None or name not in model.spec.styles:
            continue
        return StylePack(
            name=name,
            title=name.replace("-", " ").capitalize(),
            licence=model.spec.licence,
            author=model.spec.author,
            generator=model.spec.name,
            weights_hash=model.spec.weights_hash,
            row=row_text(model.rows.values[model.spec.styles.index(name)]),
        )
    raise UsageError(
        f"there is no style {name}", f"there are: {', '.join(sorted(known)) or 'none'}"
    )
