"""Learning a style while on air: in a process of its own, which gets what is left of the processor.

The process is ``obs-stylizer learn --quick --json``, or ``learn --keyframe --watch --json``. It
keeps what it learnt by itself, with a preset, and the controller goes over to it. Where the daemon
ends or dies, the process sees its input end, and leaves nothing but what was shown already.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from obs_stylizer.control.learning_files import PREVIEW, THUMBNAIL, learning_folder
from obs_stylizer.errors import UsageError
from obs_stylizer.frames import Frame
from obs_stylizer.realtime.events import Event, StyleLearning
from obs_stylizer.styling.gallery import save_picture
from obs_stylizer.styling.installed_styles import free_name, style_name

log = logging.getLogger(__name__)

_JOIN_SECONDS: Final = 3.0
_MAX_LINE: Final = 200_000
_MAX_ERROR: Final = 4_000
_LONGEST: Final = 3600.0
_KNOWN: Final = (
    *("share", "seconds_left", "samples", "style_ratio", "content_kept"),
    *("difference", "exports", "trouble"),
)
"""What is passed on of what the process reports."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is learnt."""

    picture: Path
    name: str
    more: bool = False
    frame: Path | None = None
    """What the picture was painted on; None where it is learnt for its style."""


class StyleLearner:
    """Runs one learning at a time. Any thread may call anything; nothing blocks for long.

    Args:
        frame: gives the live picture without any style, to show the style on.
        tell: hears how far it is.
        command: begins the process; the arguments of ``learn`` follow.
    """

    def __init__(
        self,
        frame: Callable[[], Frame | None],
        tell: Callable[[Event], None],
        command: tuple[str, ...] = (sys.executable, "-m", "obs_stylizer"),
    ) -> None:
        self._frame = frame
        self._tell = tell
        self._command = command
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._last: _Subject | None = None
        self._forgotten = False
        self._stopped = False

    def learn(self, picture: str, name: str, seconds: float) -> str:
        """Begin to learn the style of a picture.

        Args:
            picture: path of its file.
            name: of the style; "" for the file's own. Where it is taken, a number is added:
                whoever sends a picture does not know what there is.
            seconds: how long to learn.

        Returns:
            The name of the style.

        Raises:
            UsageError: another is being learnt, there is no such file, or it gives no name.
        """
        path = _file(picture)
        word = free_name(style_name(name or path.stem))
        self._begin(_Subject(path, word), seconds)
        return word

    def learn_keyframe(self, frame: str, painted: str, name: str, seconds: float) -> str:
        """Begin to learn what was painted on a frame, and each save of it, until told to end.

        Args:
            frame: path of the frame.
            painted: path of the painting, of the same size.
            name: of the preset; as for :meth:`learn`.
            seconds: how long to learn it the first time.

        Returns:
            The name of the preset.

        Raises:
            UsageError: as :meth:`learn`.
        """
        path = _file(painted)
        word = free_name(style_name(name or path.stem))
        self._begin(_Subject(path, word, frame=_file(frame)), seconds)
        return word

    def more(self, seconds: float) -> str:
        """Go on with the style that was learnt last; return its name.

        Raises:
            UsageError: there is none, or another is being learnt.
        """
        last = self._last
        if last is None:
            raise UsageError("no style was learnt yet", "learn one: learn PICTURE")
        self._begin(replace(last, more=True), seconds)
        return last.name

    def keep(self) -> str:
        """Take the style that is being learnt as it is; return its name.

        Raises:
            UsageError: none is being learnt.
        """
        with self._lock:
            process, last = self._process, self._last
            if process is None or last is None:
                raise UsageError("no style is being learnt", "learn one: learn PICTURE")
            with contextlib.suppress(OSError, ValueError):
                assert process.stdin is not None
                process.stdin.write("keep\n")
                process.stdin.flush()
        return last.name

    def forget(self) -> str:
        """Stop learning and keep nothing; return the name of what was being learnt.

        Raises:
            UsageError: none is being learnt.
        """
        with self._lock:
            process, last = self._process, self._last
            if process is None or last is None:
                raise UsageError(
                    "no style is being learnt", "remove one: obs-stylizer styles remove NAME"
                )
            self._forgotten = True
            if last.frame is not None:
                # What is on air of it already is to go as well.
                with contextlib.suppress(OSError, ValueError):
                    assert process.stdin is not None
                    process.stdin.write("forget\n")
                    process.stdin.flush()
                return last.name
        process.kill()
        return last.name

    def stop(self) -> None:
        """End, and keep nothing of what is being learnt. May be called twice."""
        with self._lock:
            self._stopped = True
            process, thread = self._process, self._thread
        if process is not None:
            process.kill()
        if thread is not None:
            thread.join(_JOIN_SECONDS)
        shutil.rmtree(learning_folder(), ignore_errors=True)

    def _begin(self, subject: _Subject, seconds: float) -> None:
        if not 1 <= seconds <= _LONGEST:
            raise UsageError(f"{seconds:g} seconds are out of range", "take 1 to 3600")
        with self._lock:
            if self._stopped:
                raise UsageError("the daemon is ending")
            if self._thread is not None and self._last is not None:
                raise UsageError(
                    f"the style {self._last.name} is being learnt",
                    "wait for it, or end that: learn-keep, learn-forget",
                )
            self._last, self._forgotten = subject, False
            self._thread = threading.Thread(
                target=self._run, args=(subject, seconds), name="style-learning", daemon=True
            )
            self._thread.start()

    def _run(self, subject: _Subject, seconds: float) -> None:
        state: dict[str, Any] = {"name": subject.name, "share": 0.0, "seconds_left": seconds}
        self._tell(StyleLearning({**state, "state": "learning"}))
        try:
            outcome = self._learn(subject, seconds, state)
        except Exception as error:
            log.exception("learning a style failed")
            outcome = {"state": "failed", "trouble": str(error)}
        with self._lock:
            self._process = self._thread = None
        self._tell(StyleLearning({**state, **outcome}))

    def _learn(self, subject: _Subject, seconds: float, state: dict[str, Any]) -> dict[str, Any]:
        """Run the process; return how it ended."""
        folder = learning_folder()
        folder.mkdir(parents=True, exist_ok=True)
        what = ["--quick", str(subject.picture)]
        if subject.frame is not None:
            what = ["--keyframe", f"{subject.frame}={subject.picture}", "--watch"]
        arguments = ["learn", *what, "--name", subject.name, "--json"]
        arguments += ["--seconds", f"{seconds:g}", "--preview", str(folder / PREVIEW)]
        arguments += ["--more"] if subject.more else []
        self._save_preview(folder)
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
            process = subprocess.Popen(
                [*self._command, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                errors="replace",
                # Threads that spin while they wait would take a core from the picture.
                env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
            )
            with process:
                with self._lock:
                    self._process = process
                    ending = self._stopped
                if ending:
                    process.kill()
                learnt = self._follow(process, folder, state)
            code = process.returncode
            errors.seek(0)
            said = errors.read(_MAX_ERROR).strip()
        if learnt:
            return {"state": "learnt", "share": 1.0, "seconds_left": 0.0}
        if self._forgotten or self._stopped:
            return {"state": "forgotten"}
        reason = said.splitlines()[-1].removeprefix("error: ") if said else f"it ended with {code}"
        return {"state": "failed", "trouble": reason}

    def _follow(self, process: subprocess.Popen[str], folder: Path, state: dict[str, Any]) -> bool:
        """Pass on what the process reports; return whether the style was kept."""
        assert process.stdout is not None
        learnt = False
        for line in _lines(process.stdout):
            try:
                said = json.loads(line)
                learnt = learnt or said.get("state") == "learnt"
                thumbnail = base64.b64decode(said.pop("thumbnail", ""))
            except (ValueError, AttributeError):
                log.debug("learning said: %s", line[:200])
                continue
            if learnt:
                continue
            if thumbnail:
                _replace(folder / THUMBNAIL, thumbnail)
            state.update({key: said[key] for key in _KNOWN if key in said})
            self._tell(StyleLearning({**state, "state": "learning"}))
            self._save_preview(folder)
        return learnt

    def _save_preview(self, folder: Path) -> None:
        """Let the process have the live picture as it is now."""
        frame = self._frame()
        if frame is None:
            return
        part = folder / f"part-{PREVIEW}"
        try:
            save_picture(frame.pixels, part)
            part.replace(folder / PREVIEW)
        except (UsageError, OSError) as error:
            log.debug("no live picture for the thumbnail: %s", error)


def _file(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise UsageError(f"there is no picture {path}", "give the full path of its file")
    return path.absolute()


def _lines(stream: IO[str]) -> Any:
    return iter(lambda: stream.readline(_MAX_LINE), "")


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f"part-{path.name}")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        log.debug("the thumbnail cannot be kept: %s", error)
