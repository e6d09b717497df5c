"""``obs-stylizer learn --quick``: the style of one picture, in about a minute."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from obs_stylizer.cli.training import need_torch
from obs_stylizer.errors import TrainingError, UsageError
from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.inference.locate import find_model
from obs_stylizer.inference.native_model import NativeModel, load_native_model
from obs_stylizer.inference.style_packs import StylePack, installed_packs
from obs_stylizer.inference.style_rows import row_text
from obs_stylizer.realtime.priority import take_low_priority, take_lowest_priority
from obs_stylizer.styling.geometry import reshape
from obs_stylizer.styling.installed_styles import generator_of, install, refuse_taken

if TYPE_CHECKING:
    from obs_stylizer.training.quick_learning import Progress, QuickLearner

GENERATOR: Final = "paintings"
THUMBNAIL: Final = FrameSize(256, 144)
_THUMBNAIL_SECONDS: Final = 4.0
_LEAST_STEPS: Final = 3
ENOUGH_STEPS: Final = 100
"""Samples after which a row has mostly been learnt; each takes a core a quarter of a second where
it computes in bfloat16."""
_LONGEST: Final = 4
_TITLE_LENGTH: Final = 80


def learn_quickly(
    picture: Path,
    name: str,
    seconds: float,
    *,
    generator: str = GENERATOR,
    more: bool = False,
    preview: Path | None = None,
    as_json: bool = False,
    threads: int = 0,
) -> None:
    """Learn the row of a picture's style, and keep it as a style pack and a preset.

    Args:
        picture: of the style, or a film in it.
        name: of the style.
        seconds: how long to learn.
        generator: name or path of the generator whose style it will be.
        more: go on from the installed style of that name.
        preview: a picture to show the style on as it is learnt.
        as_json: report on the output stream, a JSON object a line, and take a line ``keep`` on the
            input stream for the end; the input stream's end forgets the style.
        threads: of the processor; 0 for torch's own choice.

    Raises:
        TrainingError: torch is missing, the picture has no style, the generator takes no rows.
        ModelError: the pack cannot be kept.
        UsageError: the name is taken.
    """
    need_torch()
    if as_json:
        # A daemon on air asked for it.
        take_lowest_priority()
    else:
        take_low_priority()
    began = time.monotonic()
    model = load_native_model(find_model(generator))
    row = _known_row(name, model) if more else None
    if not more:
        refuse_taken(name, model)
    import torch

    from obs_stylizer.training.quick_learning import QuickLearner, read_style

    if threads:
        torch.set_num_threads(threads)
    orders = _Orders(listen=as_json)
    learner = QuickLearner(model.path, read_style(picture), row=row)
    report = _Report(learner, preview, as_json, seconds)
    report.show(learner.progress, 0.0)
    learning_began = time.monotonic()
    try:
        while not orders.keep:
            if orders.forget:
                return
            share = _share(
                time.monotonic() - learning_began,
                # What loading took belongs to the time that the user gave.
                max(seconds - (learning_began - began), seconds / 2),
                learner.progress.step,
            )
            if share >= 1:
                break
            report.show(learner.step(share), share)
    except KeyboardInterrupt:
        if as_json or learner.progress.step < _LEAST_STEPS:
            raise
        typer.echo("kept as far as it was learnt", err=True)
    pack = _pack(learner, name, report.thumbnail())
    preset = install(pack, replace=more)
    report.end(name, preset)


def _share(gone: float, seconds: float, steps: int) -> float:
    """Return how much of the learning is done, 0 to 1 and beyond.

    Where a picture on air leaves it little of the processor, it goes on until it has seen enough,
    for at most :data:`_LONGEST` times as long.
    """
    return max(min(gone / seconds, steps / ENOUGH_STEPS), gone / (_LONGEST * seconds))


def _known_row(name: str, model: NativeModel) -> Any:
    pack = installed_packs().all().get(name)
    if pack is None:
        raise UsageError(f"there is no installed style {name} to go on from", "leave out --more")
    if generator_of(pack).spec.weights_hash != model.spec.weights_hash:
        raise UsageError(f"the style {name} belongs to {pack.generator}", "leave out --more")
    return pack.values


def _pack(learner: QuickLearner, name: str, thumbnail: bytes) -> StylePack:
    progress = learner.progress
    return StylePack(
        name=name,
        title=name.replace("-", " ").capitalize()[:_TITLE_LENGTH],
        description="Learnt from one picture.",
        generator=learner.spec.name,
        weights_hash=learner.spec.weights_hash,
        row=row_text(learner.row),
        thumbnail=base64.b64encode(thumbnail).decode("ascii"),
        quality={
            "samples": progress.step,
            "broad_style_ratio": round(progress.style_ratio, 3),
            "broad_content_kept": round(progress.content_kept, 3),
        },
    )


class _Report:
    """Tells how far learning is: a line that is written over, or a JSON object a line."""

    def __init__(
        self, learner: QuickLearner, preview: Path | None, as_json: bool, seconds: float
    ) -> None:
        self._learner = learner
        self._preview = preview
        self._as_json = as_json
        self._seconds = seconds
        self._shown = 0.0
        self._began = time.monotonic()

    def show(self, progress: Progress, share: float) -> None:
        """Report, at most every few seconds."""
        now = time.monotonic()
        if self._shown and now - self._shown < (_THUMBNAIL_SECONDS if self._as_json else 0.5):
            return
        self._shown = now
        if self._as_json:
            self._write(
                state="learning",
                share=round(share, 3),
                seconds_left=round(self._left(now, share), 1),
                style_ratio=round(progress.style_ratio, 3),
                content_kept=round(progress.content_kept, 3),
                samples=progress.step,
                thumbnail=base64.b64encode(self.thumbnail()).decode("ascii"),
            )
        elif sys.stderr.isatty():
            sys.stderr.write(
                f"\rlearning {min(1.0, share):4.0%}  style ratio {progress.style_ratio:.2f}  "
                f"content kept {progress.content_kept:.2f}  {progress.step} samples "
            )
            sys.stderr.flush()

    def _left(self, now: float, share: float) -> float:
        """Return the seconds that are left, going by how quick it was so far."""
        gone = now - self._began
        return gone * (1 - share) / share if 0 < share < 1 else self._seconds * (1 - share)

    def thumbnail(self) -> bytes:
        """Return a JPEG of the preview picture in the style as it is."""
        from obs_stylizer.web.stream_hub import encode_jpeg

        made = self._learner.paint(reshape(self._picture(), THUMBNAIL))
        return encode_jpeg(Frame(made, 0, 0.0), 80)

    def end(self, name: str, preset: Path) -> None:
        """Say what was kept."""
        if self._as_json:
            self._write(state="learnt", name=name, preset=str(preset))
            return
        progress = self._learner.progress
        if sys.stderr.isatty():
            sys.stderr.write("\n")
        typer.echo(
            f"learnt: {name}, style ratio {progress.style_ratio:.2f}, "
            f"content kept {progress.content_kept:.2f}, {progress.step} samples"
        )
        typer.echo(f"written: {preset}")
        typer.echo(f"On air with it:  obs-stylizer run --preset {name}")
        typer.echo(f"To pass it on:  obs-stylizer styles pack {name}")

    def _picture(self) -> Pixels:
        """Return the preview picture as its file is now, or a photograph of ours."""
        from obs_stylizer.training.pictures import read_picture
        from obs_stylizer.training.quick_learning import bundled_photographs

        if self._preview is not None:
            with contextlib.suppress(TrainingError):
                return read_picture(self._preview)
        return bundled_photographs()[0]

    @staticmethod
    def _write(**values: object) -> None:
        sys.stdout.write(json.dumps(values) + "\n")
        sys.stdout.flush()


class _Orders:
    """What is told through the input stream: a line ``keep``, or its end."""

    def __init__(self, *, listen: bool) -> None:
        self.keep = False
        self.forget = False
        if listen:
            threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in sys.stdin:
                if line.strip() == "keep":
                    self.keep = True
                    return
        self.forget = True
