"""DaVinci Resolve script: renders the clip under the playhead and adds it to the media pool.

Put in by:  python3 install_editors.py resolve
which writes one copy for each preset into Resolve's folder of scripts, so that each is an entry of
its own under Workspace, Scripts, obs-stylizer. The line below that begins with SETTINGS is filled
in there.

Written from Blackmagic's README of the scripting API; NOT RUN in Resolve by the authors. Works
alone, with Python's own library.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

SETTINGS = {"program": "obs-stylizer", "preset": "great-wave"}


def connect() -> Any:
    """Resolve's scripting object: given in its own menu, imported elsewhere."""
    given = globals().get("resolve")
    if given is not None:
        return given
    import DaVinciResolveScript

    return DaVinciResolveScript.scriptapp("Resolve")


def clip_under_playhead(project: Any) -> Path:
    """The file of the clip under the playhead of the timeline that is open.

    Raises LookupError with what is missing.
    """
    timeline = project.GetCurrentTimeline() if project else None
    if timeline is None:
        raise LookupError("no timeline is open")
    item = timeline.GetCurrentVideoItem()
    media = item.GetMediaPoolItem() if item else None
    found = media.GetClipProperty("File Path") if media else ""
    # Older versions answer with a dictionary.
    path = found.get("File Path", "") if isinstance(found, dict) else found
    if not path:
        raise LookupError("there is no clip from a file under the playhead")
    return Path(path)


def free_target(source: Path, preset: str) -> Path:
    """A name beside the source that is not taken."""
    target, number = source.with_name(f"{source.stem}-{preset}.mp4"), 2
    while target.exists():
        target, number = source.with_name(f"{source.stem}-{preset}-{number}.mp4"), number + 1
    return target


def render(source: Path, target: Path) -> str:
    """Render, and print how far it is; returns "" or what went wrong."""
    command = [SETTINGS["program"], "render", str(source), "-o", str(target)]
    command += ["--preset", SETTINGS["preset"], "--json-progress", "--log-level", "error"]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    except OSError as error:
        return f"{SETTINGS['program']} cannot be started: {error}"
    problem, shown = "", -1
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "failed":
                problem = event["error"]
            elif event["event"] == "progress" and event["frames"]:
                tenth = 10 * event["frame"] // event["frames"]
                if tenth != shown:
                    shown = tenth
                    print(f"obs-stylizer: {10 * tenth} % of {source.name}", flush=True)
    if process.returncode and not problem:
        problem = "obs-stylizer ended early"
    return problem


def main() -> str:
    """Do it all; returns "" or what went wrong."""
    project = connect().GetProjectManager().GetCurrentProject()
    try:
        source = clip_under_playhead(project)
    except LookupError as error:
        return str(error)
    target = free_target(source, SETTINGS["preset"])
    problem = render(source, target)
    if problem:
        return problem
    if not project.GetMediaPool().ImportMedia([str(target)]):
        return f"{target} is rendered, but Resolve does not take it into the media pool"
    print(f"obs-stylizer: {target} is in the media pool")
    return ""


if __name__ == "__main__":
    trouble = main()
    if trouble:
        print(f"obs-stylizer: {trouble}")
