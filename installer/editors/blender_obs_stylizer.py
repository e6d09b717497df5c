"""Blender add-on: renders video strips of the sequencer in a style, as obs-stylizer does live.

Put in: Edit, Preferences, Add-ons, Install…, choose this file, tick it, and name the program
obs-stylizer in its preferences unless it is on the PATH. Use: in the Video Sequencer select movie
strips, then Strip, Render in a Style. The styled film lies as a strip of its own above the old one
and begins, ends and is cut as that does.

Run by the authors in Blender 3.4 (Debian 12). Works alone: nothing of obs-stylizer is imported.
"""

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import bpy

bl_info = {
    "name": "obs-stylizer: render strips in a style",
    "author": "The obs-stylizer authors",
    "version": (1, 0, 0),
    "blender": (3, 0, 0),
    "location": "Video Sequencer > Strip > Render in a Style",
    "description": "Turns video strips into moving paintings",
    "category": "Sequencer",
}

_presets: list[tuple[str, str, str]] = []


def program() -> str:
    """The command that renders: of the preferences, of OBS_STYLIZER, or on the PATH."""
    entry = bpy.context.preferences.addons.get(__name__)
    named = entry.preferences.program if entry is not None else ""
    return named or os.environ.get("OBS_STYLIZER", "") or shutil.which("obs-stylizer") or ""


def list_presets(self, context):
    """The presets there are, asked for once; Blender wants the list kept alive."""
    del self, context
    if not _presets and program():
        done = subprocess.run(
            [program(), "presets", "list", "--json"], capture_output=True, text=True
        )
        if done.returncode == 0:
            found = json.loads(done.stdout)["presets"]
            _presets.extend((p["name"], p["title"], p["description"]) for p in found)
    return _presets or [("", "no presets found", "name the program in the add-on's preferences")]


class Preferences(bpy.types.AddonPreferences):
    """Where the program is."""

    bl_idname = __name__

    program: bpy.props.StringProperty(
        name="Program", description="obs-stylizer, if it is not on the PATH", subtype="FILE_PATH"
    )

    def draw(self, context):
        """Show the one field."""
        del context
        self.layout.prop(self, "program")


class Rendering:
    """One rendering in the background."""

    def __init__(self, source: Path, target: Path, preset: str, strength: float) -> None:
        self.target = target
        self.share = 0.0
        self.error = ""
        self.ended = False
        command = [program(), "render", str(source), "-o", str(target), "--json-progress"]
        command += ["--preset", preset, "--strength", f"{strength:g}", "--log-level", "error"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with self._process as process:
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "progress" and event["frames"]:
                    self.share = event["frame"] / event["frames"]
                elif event["event"] == "failed":
                    self.error = event["error"]
        if process.returncode != 0 and not self.error:
            self.error = "obs-stylizer ended early"
        self.ended = True

    def wait(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def stop(self) -> None:
        """End it; nothing half-written is left under the final name."""
        self._process.terminate()
        self._thread.join(2)


def strips_of(scene):
    """The sequencer's strips, which newer Blenders call so."""
    editor = scene.sequence_editor
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def selected_movies(scene) -> list:
    """The movie strips that are selected."""
    if scene.sequence_editor is None:
        return []
    return [strip for strip in strips_of(scene) if strip.select and strip.type == "MOVIE"]


def free_target(source: Path, preset: str) -> Path:
    """A name beside the source that is not taken."""
    target = source.with_name(f"{source.stem}-{preset}.mp4")
    number = 2
    while target.exists():
        target = source.with_name(f"{source.stem}-{preset}-{number}.mp4")
        number += 1
    return target


def add_above(scene, strip, target: Path):
    """Lay the styled film above its original, with the same place and the same cuts."""
    styled = strips_of(scene).new_movie(
        name=target.stem,
        filepath=str(target),
        channel=strip.channel + 1,
        frame_start=int(strip.frame_start),
    )
    styled.frame_offset_start = strip.frame_offset_start
    styled.frame_offset_end = strip.frame_offset_end
    return styled


class SEQUENCER_OT_obs_stylizer(bpy.types.Operator):  # noqa: N801 - Blender's way of naming
    """Render the selected movie strips in a style and lay the results above them."""

    bl_idname = "sequencer.obs_stylizer"
    bl_label = "Render in a Style"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012 - Blender reads it off the class

    preset: bpy.props.EnumProperty(name="Style", items=list_presets)
    strength: bpy.props.FloatProperty(name="Strength", default=1.0, min=0.0, max=1.0)

    @classmethod
    def poll(cls, context):
        """Whether there is something to render."""
        return bool(selected_movies(context.scene))

    def invoke(self, context, event):
        """Ask for the style."""
        del event
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context):
        """Begin; with a window the rest goes on in the background, without one it is waited for."""
        if not program():
            self.report({"ERROR"}, "obs-stylizer was not found; name it in the preferences")
            return {"CANCELLED"}
        self._waiting = selected_movies(context.scene)
        self._scene = context.scene
        self._rendering = None
        if bpy.app.background:
            while self._waiting:
                self._begin()
                self._rendering.wait()
                if not self._finish():
                    return {"CANCELLED"}
            return {"FINISHED"}
        self._begin()
        self._timer = context.window_manager.event_timer_add(0.25, window=context.window)
        context.window_manager.modal_handler_add(self)
        context.window_manager.progress_begin(0, 100)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        """Show how far it is; Escape ends it."""
        if event.type == "ESC":
            self._rendering.stop()
            return self._leave(context, {"CANCELLED"})
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        context.window_manager.progress_update(int(100 * self._rendering.share))
        if not self._rendering.ended:
            return {"PASS_THROUGH"}
        if not self._finish():
            return self._leave(context, {"CANCELLED"})
        if self._waiting:
            self._begin()
            return {"PASS_THROUGH"}
        return self._leave(context, {"FINISHED"})

    def _begin(self):
        source = Path(bpy.path.abspath(self._waiting[0].filepath))
        target = free_target(source, self.preset)
        self._rendering = Rendering(source, target, self.preset, self.strength)

    def _finish(self):
        strip = self._waiting.pop(0)
        if self._rendering.error:
            self.report({"ERROR"}, self._rendering.error)
            return False
        add_above(self._scene, strip, self._rendering.target)
        return True

    def _leave(self, context, result):
        context.window_manager.event_timer_remove(self._timer)
        context.window_manager.progress_end()
        return result


def draw_menu(self, context):
    """The entry in the Strip menu."""
    del context
    self.layout.separator()
    self.layout.operator(SEQUENCER_OT_obs_stylizer.bl_idname)


def register():
    """Called by Blender when the add-on is switched on."""
    bpy.utils.register_class(Preferences)
    bpy.utils.register_class(SEQUENCER_OT_obs_stylizer)
    bpy.types.SEQUENCER_MT_strip.append(draw_menu)


def unregister():
    """Called by Blender when it is switched off."""
    bpy.types.SEQUENCER_MT_strip.remove(draw_menu)
    bpy.utils.unregister_class(SEQUENCER_OT_obs_stylizer)
    bpy.utils.unregister_class(Preferences)
