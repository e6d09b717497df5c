"""``obs-stylizer learn --keyframe``: what was painted on a frame, carried onto all others."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from obs_stylizer.cli.learning_session import LearningReport, Orders, Sitting, begin_learning
from obs_stylizer.errors import ModelError, StylizerError, TrainingError, UsageError
from obs_stylizer.inference.locate import model_files, model_folders
from obs_stylizer.styling.installed_styles import (
    preset_path,
    refuse_taken_presets,
    style_title,
    write_preset,
)

if TYPE_CHECKING:
    from obs_stylizer.training.keyframe_learning import KeyframeLearner, KeyframeProgress
    from obs_stylizer.training.keyframes import Keyframe

SECONDS: Final = 180.0
_ENOUGH_STEPS: Final = 1000
_LEAST_STEPS: Final = 20
_AGAIN: Final = 1 / 3
"""How long a painting that was saved again is learnt, as a share of the first time."""
_EXPORT_SECONDS: Final = 45.0
"""Between two exports while the painting is watched."""
_LOOK_SECONDS: Final = 1.0

Pair = tuple[Path, Path]


def read_pairs(texts: list[str]) -> list[Pair]:
    """Return frames with their paintings, as ``FRAME.png=PAINTED.png`` says.

    Raises:
        UsageError: a text names no two files that are there.
    """
    pairs = []
    for text in texts:
        pair = next(
            (
                (Path(text[:place]).expanduser(), Path(text[place + 1 :]).expanduser())
                for place in (place for place, sign in enumerate(text) if sign == "=")
                if Path(text[:place]).expanduser().is_file()
            ),
            None,
        )
        if pair is None:
            raise UsageError(
                f"“{text}” begins with no picture that is there",
                "name the frame and what was painted on it: --keyframe FRAME.png=PAINTED.png",
            )
        if not pair[1].is_file():
            raise UsageError(f"there is no painted picture {pair[1]}", "check the path")
        pairs.append(pair)
    return pairs


def learn_keyframes(
    pairs: list[Pair],
    name: str,
    seconds: float = SECONDS,
    *,
    watch: bool = False,
    more: bool = False,
    preview: Path | None = None,
    as_json: bool = False,
    threads: int = 0,
) -> None:
    """Learn painted frames as a generator of its own, and keep it with a preset.

    Args:
        pairs: frames, and what was painted on each.
        name: of generator and preset.
        seconds: how long to learn.
        watch: go on until told to end, and learn each painting again when it is saved.
        more: go on from the generator of that name.
        preview: a picture to show the painting on as it is learnt; None for the first frame.
        as_json: report on the output stream, a JSON object a line, and take a line ``keep`` or
            ``forget`` on the input stream for the end; the input stream's end keeps what was
            exported, and no more.
        threads: of the processor; 0 for torch's own choice.

    Raises:
        TrainingError: torch or room is missing, a pair cannot be learnt, or the generator cannot
            be kept.
        ModelError: its preset cannot be written.
        UsageError: the name is taken.
    """
    began = time.monotonic()
    place = _Place.of(name, more=more)
    begin_learning(place.model.parent, on_air=as_json)
    import torch

    from obs_stylizer.training.keyframe_learning import KeyframeLearner
    from obs_stylizer.training.keyframes import MOST, read_keyframe

    if len(pairs) > MOST:
        raise UsageError(f"{len(pairs)} painted frames are too many", f"take {MOST} at most")
    if threads:
        torch.set_num_threads(threads)
    orders = Orders(listen=as_json)
    keyframes = [read_keyframe(*pair) for pair in pairs]
    learner = KeyframeLearner(keyframes, start=place.model if more else None)
    report = LearningReport(learner.paint, preview or pairs[0][0], as_json=as_json)
    sitting = Sitting(max(seconds - (time.monotonic() - began), seconds / 2), _ENOUGH_STEPS)
    session = _Session(learner, keyframes, place, report, as_json=as_json)
    try:
        session.run(orders, sitting, watch=watch, seconds=seconds)
    except KeyboardInterrupt:
        if as_json or learner.progress.step < _LEAST_STEPS:
            raise
        typer.echo("kept as far as it was learnt", err=True)
    if orders.forget:
        place.forget()
    if orders.forget or orders.gone:
        return
    session.export()
    report.end_line()
    if as_json:
        report.write(state="learnt", name=name, preset=str(place.preset))
        return
    typer.echo(f"learnt: {name}, {_told(learner.progress)}")
    typer.echo(f"written: {place.model}")
    typer.echo(f"written: {place.preset}")
    typer.echo(f"On air with it:  obs-stylizer run --preset {name}")


@dataclass(frozen=True)
class _Place:
    """Where a generator and its preset are kept."""

    model: Path
    preset: Path
    is_new: bool

    @classmethod
    def of(cls, name: str, *, more: bool) -> _Place:
        model = model_folders()[1] / f"{name}.onnx"
        if more and not model.is_file():
            raise UsageError(f"there is no generator {name} to go on from", "leave out --more")
        if not more:
            if name in model_files():
                raise UsageError(
                    f"there is a generator {name} already",
                    "choose another name with --name, or go on with it: --more",
                )
            refuse_taken_presets([name])
        return cls(model, preset_path(name), not more)

    def write_preset(self, thumbnail: bytes) -> None:
        """Write the preset, or let it be seen as changed: whoever shows it then loads it anew."""
        if not self.preset.exists():
            name = self.model.stem
            preset = {
                "title": style_title(name),
                "description": "Learnt from a painted frame.",
                "model": name,
            }
            write_preset(name, preset, thumbnail)
            return
        try:
            os.utime(self.preset)
            self.preset.with_suffix(".jpg").write_bytes(thumbnail)
        except OSError as cause:
            raise TrainingError(
                f"{self.preset} cannot be changed: {cause.strerror or cause}",
                "make room on the disk",
            ) from cause

    def forget(self) -> None:
        """Remove what was kept, unless it was there before."""
        if self.is_new:
            for path in (self.preset, self.preset.with_suffix(".jpg"), self.model):
                path.unlink(missing_ok=True)


class _Session:
    """Learns, exports in between, and follows the painted files."""

    def __init__(
        self,
        learner: KeyframeLearner,
        keyframes: list[Keyframe],
        place: _Place,
        report: LearningReport,
        *,
        as_json: bool,
    ) -> None:
        self._learner, self._keyframes, self._place = learner, keyframes, place
        self._report, self._as_json = report, as_json
        self._first_step = 0
        self._exports = 0
        self._exported_step = -1
        self._trouble = self._export_trouble = ""
        self._stamps = self._settled = _stamps(keyframes)
        self._looked = self._exported_at = time.monotonic()

    def run(self, orders: Orders, sitting: Sitting, *, watch: bool, seconds: float) -> None:
        """Learn until the time is over, or, where files are watched, until told to end."""
        while not (orders.keep or orders.forget or orders.gone):
            if watch and self._saved_again():
                sitting = Sitting(max(1.0, seconds * _AGAIN), round(_ENOUGH_STEPS * _AGAIN))
                self._first_step = self._learner.progress.step
            share = sitting.share(self._learner.progress.step - self._first_step)
            is_learnt = share >= 1
            if not is_learnt:
                self._learner.step(share)
            elif not watch:
                return
            if watch and not self._export_meanwhile(at_once=is_learnt) and is_learnt:
                time.sleep(0.2)
            self._show(min(share, 1.0), sitting.seconds_left(share))

    def export(self) -> None:
        """Put what was learnt so far where it can be shown."""
        from obs_stylizer.training.keyframe_export import export_keyframes

        progress = self._learner.progress
        if progress.step == self._exported_step:
            return
        frames = [keyframe.pair[..., :3] for keyframe in self._keyframes]
        figures = {"updates": progress.step, "difference": round(progress.difference, 2)}
        export_keyframes(self._learner.native, self._place.model, frames, figures)
        self._place.write_preset(self._report.thumbnail())
        self._exports += 1
        self._exported_step, self._exported_at = progress.step, time.monotonic()

    def _export_meanwhile(self, *, at_once: bool) -> bool:
        """Export if it is time to; what hinders it is told, and may be over the next time.

        Args:
            at_once: there is nothing else to do.

        Returns:
            Whether it was tried.
        """
        waited = time.monotonic() - self._exported_at
        is_time = waited >= _EXPORT_SECONDS or (at_once and not self._export_trouble)
        if not is_time or self._learner.progress.step == self._exported_step:
            return False
        try:
            self.export()
        except (ModelError, TrainingError) as error:
            self._exported_at = time.monotonic()
            self._export_trouble = error.message
            self._warn("not kept", error)
        else:
            self._export_trouble = ""
        return True

    def _warn(self, what: str, error: StylizerError) -> None:
        if not self._as_json:
            typer.echo(f"\n{what}: {error}", err=True)

    def _saved_again(self) -> bool:
        """Take in paintings that were saved again; return whether there were any."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        before, self._stamps = self._stamps, _stamps(self._keyframes)
        # A file that still changes is being written.
        if self._stamps == self._settled or self._stamps != before:
            return False
        self._settled = self._stamps
        from obs_stylizer.training.keyframes import read_keyframe

        try:
            read = [read_keyframe(known.frame, known.painted) for known in self._keyframes]
        except TrainingError as error:
            self._trouble = error.message
            self._warn("not learnt", error)
            return False
        self._trouble = ""
        self._keyframes = read
        self._learner.take(read)
        return True

    def _show(self, share: float, seconds_left: float) -> None:
        progress = self._learner.progress
        figures = {
            "difference": round(progress.difference, 2),
            "samples": progress.step,
            "exports": self._exports,
            "trouble": self._trouble or self._export_trouble,
        }
        self._report.show(figures, lambda: _told(progress), share, seconds_left)


def _stamps(keyframes: list[Keyframe]) -> list[tuple[int, int] | None]:
    stamps: list[tuple[int, int] | None] = []
    for keyframe in keyframes:
        try:
            stat = keyframe.painted.stat()
        except OSError:
            # Some programs remove a file before they write it anew.
            stamps.append(None)
        else:
            stamps.append((stat.st_mtime_ns, stat.st_size))
    return stamps


def _told(progress: KeyframeProgress) -> str:
    return f"{progress.difference:.1f} of 255 from the painting, {progress.step} updates"
