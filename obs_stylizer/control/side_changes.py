"""Person and background of what is on air: their strengths, swapped or not, and their mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from obs_stylizer.control.commands import Answer, check_strength
from obs_stylizer.control.on_air import OnAirState
from obs_stylizer.control.preset_changes import WorkerRequests
from obs_stylizer.control.preset_effects import PresetChoice
from obs_stylizer.control.preset_state_machine import PresetStateMachine
from obs_stylizer.errors import UsageError
from obs_stylizer.realtime import requests
from obs_stylizer.realtime.requests import SideSettings

Side = Literal["person", "background"]


class SideChanges:
    """The part of the controller that changes the sides of what is on air; on its thread.

    Args:
        worker: where requests go.
        state: what is on air, kept up to date.
        machine: remembers what was set, for a worker that starts anew.
        remember: keeps what is on air for undo; called with the kind of what is changed next.
    """

    def __init__(
        self,
        worker: WorkerRequests,
        state: OnAirState,
        machine: PresetStateMachine,
        remember: Callable[[str], None],
    ) -> None:
        self._worker, self._state, self._machine = worker, state, machine
        self._remember = remember

    def set_strength(self, side: Side, strength: float) -> Answer:
        """Change the strength of one side."""
        check_strength(strength)
        self._check_sides()
        self._remember(side)
        self._set(**{side: strength})
        self._state.change(sides={**self._state.on_air.sides, side: strength})
        return Answer(f"{side} {strength:g}", {"side": side, "strength": strength})

    def swap(self, swapped: bool | None) -> Answer:
        """Exchange person and background; None turns it over."""
        self._check_sides()
        wanted = not self._state.on_air.swapped if swapped is None else swapped
        if wanted != self._state.on_air.swapped:
            self._remember(f"swap to {wanted}")
        self._set(swapped=wanted)
        self._state.change(swapped=wanted)
        text = (
            "person and background are swapped" if wanted else "person and background as they are"
        )
        return Answer(text, {"swapped": wanted})

    def show_mask(self, show: bool | None) -> Answer:
        """Show who is taken for a person, to set up by; None turns it over."""
        wanted = not self._state.on_air.shows_mask if show is None else show
        if wanted:
            self._check_sides()
        self._worker.request(requests.ShowMask(wanted))
        self._state.change(shows_mask=wanted)
        return Answer("the mask is shown" if wanted else "the mask is hidden", {"mask": wanted})

    def greet_worker(self) -> None:
        """Tell a fresh worker what it cannot know."""
        if self._state.on_air.shows_mask:
            self._worker.request(requests.ShowMask(show=True))

    def _set(self, **changes: float | bool) -> None:
        shown = self._machine.last_shown
        before = shown.sides if shown is not None and shown.sides is not None else SideSettings()
        settings = replace(before, **changes)  # type: ignore[arg-type]
        self._worker.request(requests.SetSides(settings))
        name = "" if shown is None else shown.name

        def set_in(choice: PresetChoice) -> PresetChoice:
            return replace(choice, sides=settings) if choice.name == name else choice

        self._machine.alter(set_in)

    def _check_sides(self) -> None:
        on_air = self._state.on_air
        if not on_air.sides:
            raise UsageError(
                f"{on_air.preset or 'what is on air'} does not tell person and background apart",
                "choose a preset that does, such as painted-room",
            )
