"""Recordings and snapshots, which are answered when they are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obs_stylizer.control.commands import Answer
from obs_stylizer.control.event_bus import ControlEvent, EventBus, EventKind
from obs_stylizer.control.on_air import OnAirState
from obs_stylizer.control.pipeline import Pipeline
from obs_stylizer.errors import UsageError


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """Something that took its time is there, and ``future`` can be answered."""

    made: Future[Any]
    future: Future[Answer]
    answer: Callable[[Any], Answer]

    def pass_on(self) -> None:
        """Answer."""
        error = self.made.exception()
        if error is None:
            self.future.set_result(self.answer(self.made.result()))
        else:
            self.future.set_exception(error)


class Recordings:
    """The part of the controller that records and takes snapshots; runs on its thread.

    Args:
        pipeline: the live path.
        state: what is on air; says whether a recording runs.
        event_bus: hears of snapshots.
        later: gets each answer when it can be given, from any thread; to be passed on after the
            events that came before it.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        state: OnAirState,
        event_bus: EventBus,
        later: Callable[[LateAnswer], None],
    ) -> None:
        self._pipeline = pipeline
        self._state = state
        self._event_bus = event_bus
        self._later = later

    def record(self, record: bool | None, future: Future[Answer]) -> Answer | None:
        """Begin a recording or end it; None turns it over.

        Returns:
            None where ``future`` is answered later.

        Raises:
            UsageError: it is to be ended, and there is none.
        """
        running = self._state.on_air.recording
        wanted = not running if record is None else record
        if wanted and running:
            return Answer(f"already recording to {running}", {"path": running})
        if not wanted and not running:
            raise UsageError("nothing is being recorded", "start with: record on")
        made = self._pipeline.start_recording() if wanted else self._pipeline.stop_recording()
        verb = "recording to" if wanted else "recorded"

        def answer(path: Path) -> Answer:
            return Answer(f"{verb} {path}", {"path": str(path)})

        self._answer_later(made, future, answer)
        return None

    def snapshot(self, future: Future[Answer]) -> None:
        """Save the plain and the styled picture."""

        def answer(paths: Mapping[str, Path]) -> Answer:
            text = ", ".join(str(path) for path in paths.values())
            details = {name: str(path) for name, path in paths.items()}
            self._event_bus.publish(ControlEvent(EventKind.SNAPSHOT, f"saved {text}", details))
            return Answer(f"saved {text}", details)

        self._answer_later(self._pipeline.take_snapshot(), future, answer)

    def _answer_later(
        self, made: Future[Any], future: Future[Answer], answer: Callable[[Any], Answer]
    ) -> None:
        made.add_done_callback(lambda made: self._later(LateAnswer(made, future, answer)))
