"""The state machine of which preset is on air: every request, what becomes of it, and roll-back.

    request ──► waiting ──► loading ──► shown
                   │           ├──────► failed        (it cannot be loaded, or took too long)
                   └───────────┼──────► overtaken     (a newer request came)
                               └──────► worker died   (tried once more, then set aside)

It is pure: no thread, process or clock. Whoever owns it passes in what happened and the time, and
carries out the :data:`Effect` list that comes back. One request at a time is with the worker.

A worker shows nothing when it starts. The machine then restores the preset that was shown last;
if that is set aside or cannot be loaded, the one before it, and in the end the plain picture,
which needs no generator. A preset under which two workers in a row died is *quarantined*: it is
not shown again until :meth:`PresetStateMachine.request` names it, or :meth:`release` does because
its file changed. A GPU on which nothing else ever ran is suspected before the preset is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from obs_stylizer.control.preset_effects import (
    PLAIN,
    Answered,
    Effect,
    Limits,
    Outcome,
    PresetChoice,
    Quarantined,
    ReplaceWorker,
    Show,
)
from obs_stylizer.errors import ModelError, StylizerError

_REMEMBERED: Final = 16


@dataclass(slots=True)
class _Request:
    request_id: int
    choice: PresetChoice
    crossfade_ms: float | None
    deadline: float
    restores: bool = False
    """Asked for by the machine itself, to have something on air."""


@dataclass(slots=True)
class _OnAir:
    request_id: int
    choice: PresetChoice
    since: float
    on_gpu: bool


class PresetStateMachine:
    """See the module. Every method that takes ``now`` returns what is to be done, in order."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._next_id = 0
        self._ended = ""
        self._worker = False
        self._waiting: _Request | None = None
        self._loading: _Request | None = None
        self._on_air: _OnAir | None = None
        self._sent: dict[int, PresetChoice] = {}
        self._past: list[PresetChoice] = []
        self._wanted: PresetChoice | None = None
        self._plain_failed = False
        self._load: str | None = None
        self._progress_at = 0.0
        self._replacing: str | None = None
        self._deaths: dict[str, int] = {}
        self._quarantined: dict[str, str] = {}
        self._ran_on_gpu: set[str] = set()

    # What is known.

    @property
    def shown(self) -> PresetChoice | None:
        """What the worker shows now; None while it shows nothing."""
        return None if self._on_air is None else self._on_air.choice

    @property
    def last_shown(self) -> PresetChoice | None:
        """What is shown or, after a worker's death, was shown last; None before the first."""
        return self.shown or (self._past[-1] if self._past else None)

    @property
    def newest(self) -> PresetChoice | None:
        """What will be on air once everything asked for is done."""
        request = self._waiting or self._loading
        return self.last_shown if request is None else request.choice

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for its end."""
        return self._waiting is not None or self._loading is not None

    @property
    def quarantined(self) -> Mapping[str, str]:
        """Why each preset that is set aside is."""
        return dict(self._quarantined)

    def is_suspect(self, name: str) -> bool:
        """Whether a worker died under that preset, so that it is loaded only when it must be."""
        return name in self._deaths or name in self._quarantined

    def choice_of(self, request_id: int) -> PresetChoice | None:
        """Return what a request that the worker may still answer asked for."""
        return self._sent.get(request_id)

    # What people and files ask for.

    def request(
        self,
        choice: PresetChoice,
        now: float,
        *,
        crossfade_ms: float | None = None,
        by_name: bool = False,
    ) -> tuple[int, list[Effect]]:
        """Ask for a preset to be shown; return the request's number and what is to be done.

        Args:
            choice: what to show.
            now: seconds on the clock of all calls.
            crossfade_ms: in place of the preset's own; None for that.
            by_name: somebody means this very preset: one that is quarantined gets another try.
        """
        if by_name and choice.name in self._quarantined:
            del self._quarantined[choice.name]
            # One more death is enough: it had its tries.
            self._deaths[choice.name] = self.limits.deaths - 1
        self._next_id += 1
        number = self._next_id
        if self._ended:
            return number, [Answered(number, Outcome.FAILED, StylizerError(self._ended))]
        if choice.name in self._quarantined:
            return number, [Answered(number, Outcome.FAILED, self._refusal(choice.name))]
        effects: list[Effect] = []
        if self._waiting is not None:
            effects.append(Answered(self._waiting.request_id, Outcome.OVERTAKEN))
        if self._loading is not None and not self._loading.restores:
            effects.append(Answered(self._loading.request_id, Outcome.OVERTAKEN))
            self._loading = None
        self._wanted = choice
        self._waiting = _Request(number, choice, crossfade_ms, now + self.limits.answer)
        return number, effects + self._advance(now)

    def alter(self, change: Callable[[PresetChoice], PresetChoice]) -> None:
        """Change what is on air and what is on its way to it, as a strength that was set."""
        if self._on_air is not None:
            self._on_air.choice = change(self._on_air.choice)
        for request in (self._waiting, self._loading):
            if request is not None:
                request.choice = change(request.choice)
        if self._loading is not None:
            self._sent[self._loading.request_id] = self._loading.choice
        if self._past:
            self._past[-1] = change(self._past[-1])

    def release(self, name: str) -> bool:
        """Forget what is held against a preset, whose file changed; return if it was set aside."""
        self._deaths.pop(name, None)
        return self._quarantined.pop(name, None) is not None

    # What the worker tells.

    def worker_started(self, now: float) -> list[Effect]:
        """A fresh worker takes requests."""
        self._forget_worker()
        self._worker = True
        self._plain_failed = False
        return self._advance(now)

    def load_began(self, name: str, now: float) -> None:
        """The worker begins to load a preset, because it is to be shown or may be soon."""
        self._load, self._progress_at = name, now

    def load_ended(self, now: float) -> None:
        """It is loaded, or cannot be."""
        self._load, self._progress_at = None, now

    def preset_shown(self, request_id: int, now: float, *, on_gpu: bool) -> list[Effect]:
        """The preset of a request is on air."""
        choice = self._sent.get(request_id)
        if choice is None or not self._worker:
            return []
        self._settle(now)
        self._on_air = _OnAir(request_id, choice, now, on_gpu)
        self._remember(choice)
        # What was sent before it is answered no more.
        for number in list(self._sent):
            del self._sent[number]
            if number == request_id:
                break
        if self._loading is None or self._loading.request_id != request_id:
            return []
        request, self._loading = self._loading, None
        answers = [] if request.restores else [Answered(request_id, Outcome.SHOWN)]
        return [*answers, *self._advance(now)]

    def preset_failed(self, request_id: int, error: StylizerError, now: float) -> list[Effect]:
        """The preset of a request cannot be loaded; what was on air stays."""
        self._sent.pop(request_id, None)
        request = self._loading
        if request is None or request.request_id != request_id:
            return []
        self._loading = None
        if request.restores:
            self._drop(request.choice)
            return self._advance(now)
        self._unwant(request.choice)
        return [Answered(request_id, Outcome.FAILED, error), *self._advance(now)]

    def worker_lost(self, reason: str, now: float, *, on_gpu: bool = False) -> list[Effect]:
        """The worker crashed, hung or was replaced; ``on_gpu`` says where its generator ran."""
        if not self._worker:
            return []
        self._settle(now)
        suspect = self._suspect()
        request = self._loading
        self._forget_worker()
        effects: list[Effect] = []
        if suspect is not None and not (on_gpu and self._gpu_is_suspect(suspect)):
            effects += self._count_death(suspect, reason)
        if request is not None and not request.restores and self._waiting is None:
            # It is tried again once there is something on air.
            self._waiting = request
        if self._waiting is not None and self._waiting.choice.name in self._quarantined:
            waiting, self._waiting = self._waiting, None
            self._unwant(waiting.choice)
            error = self._refusal(waiting.choice.name)
            effects.append(Answered(waiting.request_id, Outcome.FAILED, error))
        return effects

    def gpu_given_up(self) -> None:
        """The GPU is used no more: what died on it may be well elsewhere."""
        self._deaths.clear()
        self._quarantined.clear()
        if self._wanted is not None and self._past:
            self._remember(self._wanted)

    def tick(self, now: float) -> list[Effect]:
        """Look at the clock; to be called a few times a second."""
        self._settle(now)
        effects: list[Effect] = []
        overdue = self._is_overdue(now)
        if self._waiting is not None and now >= self._waiting.deadline:
            waiting, self._waiting = self._waiting, None
            effects.append(self._timed_out(waiting))
        loading = self._loading
        if loading is not None and not loading.restores and now >= loading.deadline:
            self._loading = None
            effects.append(self._timed_out(loading))
            if self._on_air is not None and not overdue:
                # The worker may still be about to show it, and its answer was that it is not.
                self._loading = self._restoring(self._on_air.choice, now)
                effects.append(self._send(self._loading, now))
        if overdue:
            name = self._load or (loading.choice.name if loading else "")
            # One without a generator has nothing that could hang.
            innocent = loading is not None and not loading.choice.named.preset.runs_networks
            self._replacing = self._load or ("" if innocent else name)
            reason = f"it has been loading preset {name} for {self.limits.load:g} s"
            effects.append(ReplaceWorker(reason))
        return effects + self._advance(now)

    def close(self, reason: str) -> list[Effect]:
        """There will be no worker any more: answer all that is and will be waited for."""
        self._ended = reason
        ending = StylizerError(reason)
        requests = [self._waiting, self._loading]
        self._waiting = self._loading = None
        return [
            Answered(request.request_id, Outcome.FAILED, ending)
            for request in requests
            if request is not None and not request.restores
        ]

    # How it works.

    def _advance(self, now: float) -> list[Effect]:
        """Send the next request to a worker that has none, if there is a reason to."""
        if not self._worker or self._loading is not None or self._replacing is not None:
            return []
        request = self._waiting
        if self._on_air is None:
            restored = self._restorable()
            tried = 0 if request is None else self._deaths.get(request.choice.name, 0)
            if restored is not None and (
                request is None or self._deaths.get(restored.name, 0) <= tried
            ):
                request = self._restoring(restored, now)
            elif request is None and self._wanted is not None and not self._plain_failed:
                request = self._restoring(PresetChoice(PLAIN), now)
        if request is None:
            return []
        if request is self._waiting:
            self._waiting = None
        self._loading = request
        return [self._send(request, now)]

    def _send(self, request: _Request, now: float) -> Show:
        self._sent[request.request_id] = request.choice
        self._progress_at = now
        return Show(request.request_id, request.choice, request.crossfade_ms)

    def _restoring(self, choice: PresetChoice, now: float) -> _Request:
        self._next_id += 1
        # A fresh worker has nothing to blend from.
        return _Request(self._next_id, choice, 0.0, now + self.limits.answer, restores=True)

    def _restorable(self) -> PresetChoice | None:
        good = (choice for choice in reversed(self._past) if choice.name not in self._quarantined)
        return next(good, None)

    def _remember(self, choice: PresetChoice) -> None:
        self._past = [past for past in self._past if past.name != choice.name][-_REMEMBERED:]
        self._past.append(choice)

    def _drop(self, choice: PresetChoice) -> None:
        """Do not restore it again."""
        if choice.named is PLAIN:
            self._plain_failed = True
        self._past = [past for past in self._past if past.name != choice.name]

    def _unwant(self, choice: PresetChoice) -> None:
        if self._wanted is not None and self._wanted.name == choice.name:
            self._wanted = self.last_shown or PresetChoice(PLAIN)

    def _settle(self, now: float) -> None:
        """Hold nothing more against what has been on air long enough."""
        on_air = self._on_air
        if on_air is not None and now - on_air.since >= self.limits.healthy:
            self._deaths.pop(on_air.choice.name, None)
            if on_air.on_gpu:
                self._ran_on_gpu.add(on_air.choice.name)

    def _suspect(self) -> str | None:
        """Name of the preset that a worker which died was busy with."""
        if self._replacing is not None:
            return self._replacing or None
        if self._load is not None:
            return self._load
        on_air = self._on_air
        runs = on_air is not None and on_air.choice.named.preset.runs_networks
        return on_air.choice.name if on_air and runs else None

    def _gpu_is_suspect(self, name: str) -> bool:
        return not self._ran_on_gpu - {name}

    def _count_death(self, name: str, reason: str) -> list[Effect]:
        if name in self._quarantined:
            return []
        self._deaths[name] = self._deaths.get(name, 0) + 1
        if self._deaths[name] < self.limits.deaths:
            return []
        self._quarantined[name] = reason
        return [Quarantined(name, reason)]

    def _refusal(self, name: str) -> ModelError:
        return ModelError(
            f"preset {name} is set aside, because the worker did not survive it: "
            f"{self._quarantined[name]}",
            f"mend its file, or try again with: preset {name}",
        )

    def _timed_out(self, request: _Request) -> Answered:
        name = request.choice.name
        self._unwant(request.choice)
        error = ModelError(
            f"preset {name} was not on air within {self.limits.answer:g} s",
            "see the log for what the worker was busy with",
        )
        return Answered(request.request_id, Outcome.FAILED, error)

    def _is_overdue(self, now: float) -> bool:
        busy = self._load is not None or self._loading is not None
        waited = now - self._progress_at
        stuck = busy and waited >= self.limits.load
        return self._worker and stuck and self._replacing is None

    def _forget_worker(self) -> None:
        self._worker = False
        self._on_air = self._loading = self._load = self._replacing = None
        self._sent.clear()
