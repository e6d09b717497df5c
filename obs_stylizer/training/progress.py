"""What a training shows while it runs."""

from __future__ import annotations

from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


class Progress(Protocol):
    """Is told of every update."""

    def update(self, step: int, done: float, figures: dict[str, float]) -> None:
        """Show that ``step`` updates were done, the share ``done`` of all."""

    def close(self) -> None:
        """Leave the screen tidy."""


class SilentProgress:
    """Shows nothing."""

    def update(self, step: int, done: float, figures: dict[str, float]) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing."""


class ProgressBar:
    """A bar with the update, the loss, and the time left."""

    def __init__(self, console: Console) -> None:
        self._bar = RichProgress(
            TextColumn("update {task.fields[step]}"),
            BarColumn(),
            TextColumn("{task.percentage:>5.1f} %"),
            TextColumn("loss {task.fields[loss]:.3f}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("", total=1.0, step=0, loss=float("nan"))
        self._bar.start()

    def update(self, step: int, done: float, figures: dict[str, float]) -> None:
        """Move the bar."""
        loss = figures.get("loss", float("nan"))
        self._bar.update(self._task, completed=done, step=step, loss=loss)

    def close(self) -> None:
        """Stop the bar where it stands."""
        self._bar.stop()
