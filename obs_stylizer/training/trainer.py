"""The training loop, the same one for every objective."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from obs_stylizer.errors import TrainingError
from obs_stylizer.training.compilation import compile_networks, lay_out
from obs_stylizer.training.distributed import World
from obs_stylizer.training.losses.regularization import clip_weights
from obs_stylizer.training.monitoring import Means, MetricsLog, Progress, SilentProgress, StepClock
from obs_stylizer.training.muon import Muon
from obs_stylizer.training.objectives import Objective, build_objective
from obs_stylizer.training.objectives.base import Batch
from obs_stylizer.training.optimization import MovingAverage, Precision, progress_of, rate_factor
from obs_stylizer.training.prefetcher import Prefetcher
from obs_stylizer.training.recipe import Recipe
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.warm_start import load_from_run

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingOutcome:
    """How a sitting ended: updates done in all, seconds in all, and whether it is finished."""

    step: int
    seconds: float
    finished: bool


class Trainer:
    """Trains what the recipe of a run directory says.

    Args:
        run: where everything is written.
        device: to compute on.
        world: this process among those that train together.
        features: file of weights to use instead of the recipe's.

    Raises:
        TrainingError: the recipe's data cannot be used.
    """

    def __init__(
        self,
        run: RunDirectory,
        device: torch.device,
        world: World | None = None,
        features: Path | None = None,
    ) -> None:
        self.run = run
        self.recipe: Recipe = run.recipe
        self.device = device
        self.world = world or World()
        schedule = self.recipe.schedule
        if schedule.batch % (self.world.size * schedule.accumulate):
            raise TrainingError(
                f"a batch of {schedule.batch} cannot be shared by {self.world.size} processes "
                f"in {schedule.accumulate} parts"
            )
        torch.manual_seed(self.recipe.seed)
        self.objective: Objective = build_objective(self.recipe, device, features)
        self.world.share_start(self.objective.generators)
        self.world.share_start(self.objective.discriminators)
        self.average = MovingAverage(self.objective.generators, schedule.moving_average)
        self.precision = Precision(self.recipe.precision, device)
        build = Muon if schedule.optimizer == "muon" else _adam
        self.generator_optimizer: torch.optim.Optimizer = build(
            self.objective.generators.parameters(), schedule.learning_rate, schedule.betas
        )
        adversarial = self.recipe.adversarial
        self.discriminator_optimizer = (
            _adam(
                self.objective.discriminators.parameters(),
                adversarial.learning_rate,
                adversarial.betas,
            )
            if len(self.objective.discriminators)
            else None
        )
        lay_out(self.objective, device)
        self.compiled = compile_networks(self.objective, self.recipe.compile, device)
        self.step = 0
        self.elapsed = 0.0

    def resume(self) -> None:
        """Take up the newest checkpoint of the run.

        Raises:
            TrainingError: there is none that fits.
        """
        state = self.run.load_checkpoint(self.device)
        self.objective.generators.load_state_dict(state["generators"])
        self.objective.discriminators.load_state_dict(state["discriminators"])
        self.average.network.load_state_dict(state["average"])
        self.generator_optimizer.load_state_dict(state["generator_optimizer"])
        if self.discriminator_optimizer is not None:
            self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        self.precision.load_state_dict(state["precision"])
        self._load_extra_state(state["objective"])
        self.step, self.elapsed = state["step"], state["elapsed"]

    def start_from(self, other: RunDirectory) -> None:
        """Take the weights of another run's newest checkpoint as this one's start.

        Optimizers and schedule begin anew. What was done is noted in ``run.json``.

        Raises:
            TrainingError: the other run has no checkpoint, or its networks are of another shape.
        """
        networks = {
            "generators": self.objective.generators,
            "discriminators": self.objective.discriminators,
            "average": self.average.network,
        }
        self._note_start(load_from_run(networks, self.recipe, other, self.device))

    def start_from_model(self, path: Path) -> None:
        """Take the weights of an exported generator as this run's start.

        As :meth:`start_from`, but discriminators always begin anew, too.

        Raises:
            TrainingError: the file's generator is of another shape, or has no trained weights.
            ModelError: the file is no native generator.
        """
        networks = (self.objective.generators, self.average.network)
        self._note_start(self.objective.start_from_model(networks, path))

    def _note_start(self, facts: dict[str, Any]) -> None:
        if self.world.leads:
            self.run.note({"started_from": facts})

    def _load_extra_state(self, saved: Any) -> None:
        """Take back this process's pools, whose pictures came from its share of each batch."""
        # Older checkpoints hold the leading process's alone.
        of_each = saved if isinstance(saved, list) else [saved]
        if len(of_each) != self.world.size and any(of_each):
            logger.warning(
                "the checkpoint was written by %d processes and is read by %d: image pools are "
                "shared out anew, so the run is not repeated exactly",
                len(of_each),
                self.world.size,
            )
        self.objective.load_extra_state(of_each[self.world.rank % len(of_each)])

    def save(self) -> None:
        """Write a checkpoint. Every process must call it, for each has pictures in its pools.

        Raises:
            TrainingError: it cannot be written.
        """
        extra = self.world.gather(_on_cpu(self.objective.extra_state()))
        if not self.world.leads:
            return
        self.run.save_checkpoint(
            {
                "step": self.step,
                "elapsed": self.elapsed,
                "generators": self.objective.generators.state_dict(),
                "discriminators": self.objective.discriminators.state_dict(),
                "average": self.average.network.state_dict(),
                "generator_optimizer": self.generator_optimizer.state_dict(),
                "discriminator_optimizer": self.discriminator_optimizer.state_dict()
                if self.discriminator_optimizer is not None
                else {},
                "precision": self.precision.state_dict(),
                "objective": extra,
            }
        )

    def train(self, until: int | None = None, progress: Progress | None = None) -> TrainingOutcome:
        """Train to the end of the schedule, or to the update ``until``, or to Ctrl-C.

        In each of these cases a checkpoint is written last.

        Raises:
            TrainingError: a loss is not finite, or something cannot be written.
        """
        schedule, shown = self.recipe.schedule, progress or SilentProgress()
        stop = min(schedule.steps, until or schedule.steps)
        log = MetricsLog(self.run, self.step) if self.world.leads else None
        saved_at = time.monotonic()
        figures, clock = Means(), StepClock()
        try:
            with (
                _interruptible() as interrupted,
                Prefetcher(self.make_parts, self._turns, self.device) as batches,
            ):
                while self.step < stop and self._progress() < 1 and not self._asked(interrupted):
                    started = time.monotonic()
                    waited = self._update(batches, figures)
                    self.step += 1
                    seconds = time.monotonic() - started
                    self.elapsed += seconds
                    clock.add(seconds - waited)
                    figures.add({"seconds": seconds, "seconds_waiting": waited})
                    # All processes ask at once: with a budget they have to agree.
                    done = self._progress()
                    shown.update(self.step, done, figures.latest)
                    if log and self.step % schedule.log_every == 0:
                        making = {"seconds_making_data": batches.take_seconds()}
                        shares = {"progress": done, "outside_share": clock.take()}
                        log.record(self.step, {**figures.take(), **making, **shares})
                    if log and self.step % schedule.sample_every == 0:
                        self._show(log)
                    late = time.monotonic() - saved_at > 60 * schedule.checkpoint_minutes
                    if self.world.agree(float(late), self.device) > 0:
                        self.save()
                        saved_at = time.monotonic()
            finished = self.step >= schedule.steps or self._progress() >= 1
            if log:
                self._show(log)
            self.save()
        finally:
            shown.close()
            if log:
                log.close()
        return TrainingOutcome(self.step, self.elapsed, finished)

    @property
    def _turns(self) -> int:
        """Batches that an update takes."""
        return 1 if self.discriminator_optimizer is None else self.recipe.adversarial.steps

    def _asked(self, interrupted: threading.Event) -> bool:
        """Return whether any process was asked to stop; all must leave at the same update."""
        return self.world.agree(float(interrupted.is_set()), self.device) > 0

    def _progress(self) -> float:
        done = progress_of(self.recipe.schedule, self.step, self.elapsed)
        return done if self.recipe.schedule.minutes is None else self.world.agree(done, self.device)

    def _update(self, batches: Prefetcher, figures: Means) -> float:
        """Do one update of every network; return the seconds spent waiting for data."""
        schedule, adversarial = self.recipe.schedule, self.recipe.adversarial
        factor = rate_factor(schedule, self.step, self._progress())
        # Whatever a network draws at random (dropout) is a function of the step, too.
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)
        waited = 0.0
        fakes: list[dict[str, Tensor]] = []
        self.objective.discriminators.requires_grad_(False)
        self.generator_optimizer.zero_grad(set_to_none=True)
        parts, seconds = batches.take(self.step, 0)
        waited += seconds
        for batch in parts:
            with self.precision.autocast():
                turn = self.objective.generator_turn(batch)
            self._check_finite(turn.loss, batch, turn.metrics)
            self.precision.backward(turn.loss / len(parts))
            fakes.append(turn.fakes)
            figures.add({name: float(value) for name, value in turn.metrics.items()})
        norm = self._descend(
            self.generator_optimizer, schedule.learning_rate * factor, schedule.clip_gradient
        )
        figures.add({"gradient_norm": norm, "learning_rate": schedule.learning_rate * factor})
        self.average.update(self.objective.generators, self.step + 1)
        if self.discriminator_optimizer is None:
            return waited
        self.objective.discriminators.requires_grad_(True)
        for number in range(adversarial.steps):
            if number:
                parts, seconds = batches.take(self.step, number)
                waited += seconds
            self.discriminator_optimizer.zero_grad(set_to_none=True)
            for part, batch in enumerate(parts):
                with self.precision.autocast():
                    loss, metrics = self.objective.discriminator_turn(
                        batch, fakes[part] if number == 0 else None
                    )
                self._check_finite(loss, batch, metrics)
                self.precision.backward(loss / len(parts))
                figures.add({name: float(value) for name, value in metrics.items()})
            self._descend(self.discriminator_optimizer, adversarial.learning_rate * factor, 0.0)
            if adversarial.weight_clip:
                clip_weights(self.objective.discriminators, adversarial.weight_clip)
        return waited

    def _descend(self, optimizer: torch.optim.Optimizer, rate: float, clip: float) -> float:
        """Apply the gathered gradients; return their norm before clipping."""
        parameters: list[nn.Parameter] = [
            parameter for group in optimizer.param_groups for parameter in group["params"]
        ]
        # Averaged first: one process's overflow is then everybody's.
        self.world.average_gradients(parameters)
        self.precision.unscale(optimizer)
        norm = nn.utils.clip_grad_norm_(parameters, clip or float("inf"))
        for group in optimizer.param_groups:
            group["lr"] = rate
        self.precision.step(optimizer)
        return float(norm)

    def _check_finite(self, loss: Tensor, batch: Batch, metrics: dict[str, Tensor]) -> None:
        if torch.isfinite(loss):
            return
        kept = self.run.path / "failed_batch.pt"
        torch.save({name: value for name, value in batch.items() if torch.is_tensor(value)}, kept)
        wrong = [name for name, value in metrics.items() if not torch.isfinite(value)]
        raise TrainingError(
            f"at update {self.step + 1} the loss is not finite ({', '.join(wrong) or 'loss'}); "
            f"the batch is kept in {kept}",
            "lower the learning rate or the weight of that loss, and resume the last checkpoint",
        )

    def _show(self, log: MetricsLog) -> None:
        with self.precision.autocast():
            grid = self.objective.sample_grid(self.average.network)
        self.run.save_samples(self.step, grid)
        log.show(self.step, grid)

    def make_parts(self, step: int, turn: int) -> list[Batch]:
        """Return this process's share of the joint batch of ``step``, in accumulation parts."""
        schedule = self.recipe.schedule
        size = schedule.batch // (self.world.size * schedule.accumulate)
        first = self.world.rank * size * schedule.accumulate
        return [
            self.objective.make_batch(
                step, range(first + part * size, first + (part + 1) * size), turn
            )
            for part in range(schedule.accumulate)
        ]


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turn Ctrl-C and a termination request into an event while the block runs."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def ask(number: int, _: FrameType | None) -> None:
        logger.info("asked to stop by signal %d: this update is finished and saved", number)
        event.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _adam(
    parameters: Iterable[nn.Parameter], rate: float, betas: tuple[float, float]
) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=rate, betas=betas, eps=1e-8)


def _on_cpu(state: Any) -> Any:
    """Return nested dictionaries and lists with their tensors on the CPU."""
    if isinstance(state, dict):
        return {key: _on_cpu(value) for key, value in state.items()}
    if isinstance(state, list):
        return [_on_cpu(value) for value in state]
    return state.cpu() if isinstance(state, Tensor) else state
