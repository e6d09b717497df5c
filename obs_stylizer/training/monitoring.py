"""What a training shows and writes while it runs: progress, figures, metrics and events."""

from __future__ import annotations

import json
import time
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from obs_stylizer.frames import Pixels
from obs_stylizer.training.run_directory import RunDirectory, write_atomically


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


class Means:
    """Means of figures since they were last taken."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}
        self.latest: dict[str, float] = {}

    def add(self, figures: dict[str, float]) -> None:
        """Count the figures of an update, or of a part of one."""
        self.latest = {**self.latest, **figures}
        for name, value in figures.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)

    def take(self) -> dict[str, float]:
        """Return the means, and begin anew."""
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums.clear()
        return means


class StepClock:
    """Tells what share of the wall-clock time passed outside the networks.

    That is waiting for data, writing metrics, drawing sample grids and saving checkpoints.
    """

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._inside = 0.0

    def add(self, seconds: float) -> None:
        """Count ``seconds`` spent in networks and optimizers."""
        self._inside += seconds

    def take(self) -> float:
        """Return the share since this was last asked, 0 to 1."""
        now = time.monotonic()
        share = 1 - self._inside / max(now - self._since, 1e-9)
        self._since, self._inside = now, 0.0
        return max(share, 0.0)


class MetricsLog:
    """Writes figures to ``metrics.jsonl`` and to TensorBoard.

    Lines of updates after ``step`` are dropped, so that a resumed run has every update once.
    """

    def __init__(self, run: RunDirectory, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        path = run.path / "metrics.jsonl"
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if _step_of(line) <= step]
            write_atomically(path, "".join(line + "\n" for line in kept).encode())
        self._lines = path.open("a", encoding="utf-8")
        self._events: Any = SummaryWriter(str(run.path / "events"), purge_step=step)

    def record(self, step: int, figures: dict[str, float]) -> None:
        """Write the figures of one update."""
        rounded = {name: float(f"{value:.6g}") for name, value in figures.items()}
        self._lines.write(json.dumps({"step": step, **rounded}) + "\n")
        self._lines.flush()
        for name, value in figures.items():
            self._events.add_scalar(name, value, step)

    def show(self, step: int, grid: Pixels) -> None:
        """Add a sample grid to TensorBoard."""
        self._events.add_image("samples", grid, step, dataformats="HWC")

    def close(self) -> None:
        """Flush and close both."""
        self._lines.close()
        self._events.close()


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
