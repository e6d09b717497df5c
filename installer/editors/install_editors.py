#!/usr/bin/env python3
"""Puts obs-stylizer into video editors: Blender, Kdenlive, DaVinci Resolve.

    python3 install_editors.py blender|kdenlive|resolve [--program PATH] [--folder FOLDER]

`--folder` is the editor's own folder where it is not the usual one. What is put in can be taken out
with `--remove`. Only Python's own library is used.

Blender was run by the authors. Kdenlive's jobs are written for version 23.04 and newer from its
source, and run as Kdenlive runs them, but not inside it; Resolve's from its documentation.
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
JOB = "obs-stylizer"
# Kdenlive keeps one group for each property, with a line for every job.
KDENLIVE_FILE = "clipjobsettings.rc"


def main(arguments: list[str]) -> int:
    """Do what is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("editor", choices=["blender", "kdenlive", "resolve"])
    parser.add_argument("--program", default=shutil.which("obs-stylizer") or "")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--remove", action="store_true")
    chosen = parser.parse_args(arguments)
    if not chosen.remove and not (chosen.program and Path(chosen.program).is_file()):
        print("obs-stylizer is not on the PATH; name it with --program", file=sys.stderr)
        return 1
    program = str(Path(chosen.program).absolute()) if chosen.program else ""
    done = {"blender": blender, "kdenlive": kdenlive, "resolve": resolve}[chosen.editor]
    for line in done(program, chosen.folder, chosen.remove):
        print(line)
    return 0


def preset_names(program: str) -> list[str]:
    """The names of all presets."""
    listed = subprocess.run(
        [program, "presets", "list", "--json"], capture_output=True, text=True, check=True
    )
    return [preset["name"] for preset in json.loads(listed.stdout)["presets"]]


def blender(program: str, folder: Path | None, remove: bool) -> list[str]:
    """Copy the add-on into Blender's folder of add-ons, of every version that has one."""
    source = HERE / "blender_obs_stylizer.py"
    folders = [folder] if folder else blender_folders()
    if not folders:
        return [
            "Blender has no folder here yet: start it once, or use its",
            f"Preferences, Add-ons, Install… with {source}",
        ]
    told = []
    for each in folders:
        target = each / source.name
        if remove:
            target.unlink(missing_ok=True)
            told.append(f"removed {target}")
            continue
        each.mkdir(parents=True, exist_ok=True)
        text = source.read_text("utf-8").replace(
            'os.environ.get("OBS_STYLIZER", "")', f'os.environ.get("OBS_STYLIZER", {program!r})'
        )
        target.write_text(text, "utf-8")
        told.append(f"wrote {target}; tick “obs-stylizer” in Preferences, Add-ons")
    return told


def blender_folders() -> list[Path]:
    """The folders of add-ons of each version of Blender that was started here."""
    home = Path.home()
    roots = {
        "win32": Path(os.environ.get("APPDATA", home)) / "Blender Foundation" / "Blender",
        "darwin": home / "Library" / "Application Support" / "Blender",
    }
    root = roots.get(sys.platform, home / ".config" / "blender")
    versions = root.glob("*.*") if root.is_dir() else ()
    return [version / "scripts" / "addons" for version in sorted(versions)]


def kdenlive(program: str, folder: Path | None, remove: bool) -> list[str]:
    """Add a clip job to Kdenlive: it asks for the preset and adds the result to the bin."""
    folder = folder or kdenlive_folder()
    path, script = folder / KDENLIVE_FILE, folder / "obs-stylizer-job.py"
    settings = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",))
    settings.optionxform = str  # type: ignore[assignment, method-assign]
    settings.read(path, "utf-8")
    if remove:
        for group in settings.sections():
            settings.remove_option(group, JOB)
        script.unlink(missing_ok=True)
        _runnable(script).unlink(missing_ok=True)
    else:
        values = {
            "Ids": "Render in a style (obs-stylizer)",
            "Binary": _runnable(script).as_posix(),
            "Parameters": "{source} {output} {param1}",
            "Output": ".mp4",
            "EnabledTypes": "v",
            "Param1Type": "list",
            # Two spaces stand between the choices.
            "Param1List": "  ".join(preset_names(program)),
            "Param1Name": "Style",
            "Description": "Renders every frame of the clip in a style; the sound stays.",
            "FolderUse": "rootfolder",
            "FolderName": "Styled",
        }
        for group, value in values.items():
            if not settings.has_section(group):
                settings.add_section(group)
            settings.set(group, JOB, value)
        folder.mkdir(parents=True, exist_ok=True)
        text = (HERE / "kdenlive_job.py").read_text("utf-8")
        text = text.replace("#!/usr/bin/env python3", f"#!{sys.executable}", 1)
        text = text.replace('PROGRAM = "obs-stylizer"', f"PROGRAM = {program!r}", 1)
        script.write_text(text, "utf-8")
        script.chmod(0o755)
        if sys.platform == "win32":
            line = f'@"{sys.executable}" "{script}" %*\r\n'
            _runnable(script).write_text(line, "utf-8")
    partial = path.with_name(f"{path.name}.part")
    with partial.open("w", encoding="utf-8") as file:
        settings.write(file, space_around_delimiters=False)
    partial.replace(path)
    if remove:
        return [f"took the job out of {path}"]
    return [f"wrote {path}", "restart Kdenlive; the job is in a clip's menu under Clip Jobs"]


def _runnable(script: Path) -> Path:
    """What the system can start: on Windows a batch file beside the script."""
    return script.with_suffix(".bat") if sys.platform == "win32" else script


def kdenlive_folder() -> Path:
    """Kdenlive's folder of data."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home)) / "kdenlive"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "kdenlive"
    return Path(os.environ.get("XDG_DATA_HOME", home / ".local" / "share")) / "kdenlive"


def resolve(program: str, folder: Path | None, remove: bool) -> list[str]:
    """Write one script for each preset into Resolve's menu."""
    folder = (folder or resolve_folder()) / "Utility" / "obs-stylizer"
    if remove:
        shutil.rmtree(folder, ignore_errors=True)
        return [f"removed {folder}"]
    folder.mkdir(parents=True, exist_ok=True)
    text = (HERE / "resolve_obs_stylizer.py").read_text("utf-8")
    line = next(line for line in text.splitlines() if line.startswith("SETTINGS = "))
    told = []
    for name in preset_names(program):
        settings = {"program": program, "preset": name}
        target = folder / f"{name}.py"
        target.write_text(text.replace(line, f"SETTINGS = {settings!r}"), "utf-8")
        told.append(f"wrote {target}")
    return [*told, "in Resolve: Workspace, Scripts, obs-stylizer"]


def resolve_folder() -> Path:
    """Resolve's folder of this user's scripts."""
    home = Path.home()
    roots = {
        "win32": Path(os.environ.get("APPDATA", home))
        / "Blackmagic Design/DaVinci Resolve/Support/Fusion/Scripts",
        "darwin": home
        / "Library/Application Support/Blackmagic Design/DaVinci Resolve/Fusion/Scripts",
    }
    return roots.get(sys.platform, home / ".local/share/DaVinciResolve/Fusion/Scripts")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
