"""Which preset is on air: every order of events, without a process or a thread."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

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
from obs_stylizer.control.preset_state_machine import PresetStateMachine
from obs_stylizer.errors import ModelError
from obs_stylizer.presets import NamedPreset, Preset

LIMITS = Limits(load=10.0, answer=25.0, healthy=30.0, deaths=2)
BROKEN = ModelError("the model is gone")


def choice(name: str, model: str = "m") -> PresetChoice:
    return PresetChoice(
        NamedPreset(name, Preset(title=name, model=model), Path(f"{name}.yaml"), bundled=False)
    )


def shows(effects: list[Effect]) -> list[str]:
    return [effect.choice.name for effect in effects if isinstance(effect, Show)]


def answers(effects: list[Effect]) -> dict[int, Outcome]:
    return {e.request_id: e.outcome for e in effects if isinstance(e, Answered)}


def quarantined(effects: list[Effect]) -> list[str]:
    return [effect.name for effect in effects if isinstance(effect, Quarantined)]


class Stage:
    """The machine with a worker that is driven by hand."""

    def __init__(self) -> None:
        self.machine = PresetStateMachine(LIMITS)
        self.now = 0.0
        self.sent: list[Show] = []

    def take(self, effects: list[Effect]) -> list[Effect]:
        self.sent += [effect for effect in effects if isinstance(effect, Show)]
        return effects

    def start(self) -> list[Effect]:
        return self.take(self.machine.worker_started(self.now))

    def ask(self, name: str, *, by_name: bool = True) -> tuple[int, list[Effect]]:
        number, effects = self.machine.request(choice(name), self.now, by_name=by_name)
        return number, self.take(effects)

    def show(self, *, on_gpu: bool = False) -> list[Effect]:
        """The worker shows what it was told last."""
        last = self.sent[-1]
        return self.take(self.machine.preset_shown(last.request_id, self.now, on_gpu=on_gpu))

    def fail(self) -> list[Effect]:
        last = self.sent[-1]
        return self.take(self.machine.preset_failed(last.request_id, BROKEN, self.now))

    def die(self, *, loading: str = "", on_gpu: bool = False) -> list[Effect]:
        if loading:
            self.machine.load_began(loading, self.now)
        return self.take(self.machine.worker_lost("signal 9", self.now, on_gpu=on_gpu))

    def put_on_air(self, *names: str, on_gpu: bool = False) -> None:
        for name in names:
            self.ask(name)
            self.show(on_gpu=on_gpu)

    def tick(self, seconds: float) -> list[Effect]:
        self.now += seconds
        return self.take(self.machine.tick(self.now))


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_request_before_the_worker_is_there_waits_for_it(stage: Stage) -> None:
    number, effects = stage.ask("wave")
    assert effects == []
    assert shows(stage.start()) == ["wave"]
    assert answers(stage.show()) == {number: Outcome.SHOWN}
    assert stage.machine.shown == choice("wave")


def test_newer_request_overtakes_at_once(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("wave")
    slow, _ = stage.ask("ink")
    broken, effects = stage.ask("bad")
    assert answers(effects) == {slow: Outcome.OVERTAKEN}
    assert answers(stage.fail()) == {broken: Outcome.FAILED}
    assert not stage.machine.is_busy
    assert stage.machine.newest == choice("wave")


def test_overtaken_preset_that_got_on_air_all_the_same_is_what_is_shown(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("wave")
    first, _ = stage.ask("ink")
    stage.ask("neon")
    assert stage.machine.preset_shown(first, stage.now, on_gpu=False) == []
    assert stage.machine.shown == choice("ink")
    assert stage.machine.newest == choice("neon")


def test_fresh_worker_shows_what_was_shown_last(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("wave", "ink")
    stage.die()
    assert stage.machine.shown is None
    assert stage.machine.last_shown == choice("ink")
    assert shows(stage.start()) == ["ink"]


def test_preset_under_which_two_workers_died_is_set_aside_and_the_one_before_comes_back(
    stage: Stage,
) -> None:
    stage.start()
    stage.put_on_air("wave", "killer")
    assert quarantined(stage.die()) == []
    stage.start()
    stage.show()
    assert quarantined(stage.die()) == ["killer"]
    assert shows(stage.start()) == ["wave"]
    assert "signal 9" in stage.machine.quarantined["killer"]


def test_worker_that_dies_while_loading_is_asked_once_more_behind_the_last_good(
    stage: Stage,
) -> None:
    stage.start()
    stage.put_on_air("wave")
    number, _ = stage.ask("killer")
    assert answers(stage.die(loading="killer")) == {}
    assert shows(stage.start()) == ["wave"]
    assert shows(stage.show()) == ["killer"]
    effects = stage.die(loading="killer")
    assert quarantined(effects) == ["killer"]
    assert answers(effects) == {number: Outcome.FAILED}
    assert shows(stage.start()) == ["wave"]
    assert shows(stage.show()) == []


def test_first_preset_that_kills_twice_leaves_the_plain_picture(stage: Stage) -> None:
    stage.start()
    number, _ = stage.ask("killer")
    stage.die(loading="killer")
    assert shows(stage.start()) == ["killer"]
    assert answers(stage.die(loading="killer")) == {number: Outcome.FAILED}
    assert shows(stage.start()) == ["plain"]
    stage.show()
    assert stage.machine.shown == PresetChoice(PLAIN)


def test_first_preset_that_cannot_be_loaded_leaves_the_plain_picture(stage: Stage) -> None:
    stage.start()
    number, _ = stage.ask("bad")
    effects = stage.fail()
    assert answers(effects) == {number: Outcome.FAILED}
    assert shows(effects) == ["plain"]
    assert answers(stage.show()) == {}, "nobody asked for it"


def test_last_good_preset_that_is_gone_after_a_restart_gives_way_to_the_one_before(
    stage: Stage,
) -> None:
    stage.start()
    stage.put_on_air("wave", "ink")
    stage.die()
    assert shows(stage.start()) == ["ink"]
    assert shows(stage.fail()) == ["wave"]
    assert shows(stage.fail()) == ["plain"]
    assert shows(stage.fail()) == [], "and not for ever"


def test_preset_that_fails_on_a_fresh_worker_leaves_the_last_good_one(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("wave")
    stage.die(loading="other")
    number, effects = stage.ask("bad")
    assert effects == []
    assert shows(stage.start()) == ["wave"]
    assert shows(stage.show()) == ["bad"]
    assert answers(stage.fail()) == {number: Outcome.FAILED}
    assert stage.machine.shown == choice("wave")


def test_what_is_asked_for_goes_before_what_a_worker_died_under(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("killer")
    stage.die()
    stage.ask("bad")
    assert shows(stage.start()) == ["bad"]
    assert shows(stage.fail()) == ["killer"]


def test_health_forgives(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("wave")
    for _ in range(5):
        stage.tick(31)
        assert quarantined(stage.die()) == []
        stage.start()
        stage.show()


def test_quarantine_ends_by_name_by_file_and_by_nothing_else(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("wave", "killer")
    stage.die()
    stage.start()
    stage.show()
    stage.die()
    stage.start()
    stage.show()
    number, effects = stage.ask("killer", by_name=False)
    assert answers(effects) == {number: Outcome.FAILED}
    assert stage.machine.is_suspect("killer")
    _, effects = stage.ask("killer")
    assert shows(effects) == ["killer"]
    assert quarantined(stage.die(loading="killer")) == ["killer"], "it had its tries"
    assert stage.machine.release("killer")
    assert not stage.machine.is_suspect("killer")
    assert not stage.machine.release("killer")


def test_death_while_loading_ahead_counts_against_what_was_loaded(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("wave")
    for _ in range(2):
        effects = stage.die(loading="killer")
        stage.start()
        stage.show()
    assert quarantined(effects) == ["killer"]
    assert stage.machine.shown == choice("wave")


def test_death_under_a_preset_without_a_generator_blames_none(stage: Stage) -> None:
    stage.start()
    _, effects = stage.machine.request(choice("bare", model=""), stage.now)
    stage.take(effects)
    stage.show()
    for _ in range(5):
        assert quarantined(stage.die()) == []
        assert shows(stage.start()) == ["bare"]
        stage.show()


def test_gpu_on_which_nothing_else_ran_is_suspected_first(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("wave", on_gpu=True)
    for _ in range(3):
        assert quarantined(stage.die(on_gpu=True)) == []
        assert shows(stage.start()) == ["wave"]
        stage.show(on_gpu=True)


def test_preset_is_suspected_where_another_ran_well_on_the_gpu(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("wave", on_gpu=True)
    stage.tick(31)
    stage.put_on_air("killer", on_gpu=True)
    stage.die(on_gpu=True)
    stage.start()
    stage.show(on_gpu=True)
    assert quarantined(stage.die(on_gpu=True)) == ["killer"]
    stage.machine.gpu_given_up()
    assert shows(stage.start()) == ["killer"], "it is what was asked for, and the CPU is well"


def test_hung_load_has_the_worker_replaced_and_is_tried_once_more(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("wave")
    number, _ = stage.ask("hang")
    stage.machine.load_began("hang", stage.now)
    assert stage.tick(9) == []
    (replace_worker,) = stage.tick(1)
    assert isinstance(replace_worker, ReplaceWorker)
    assert "hang" in replace_worker.reason
    assert stage.tick(1) == [], "once"
    assert quarantined(stage.die()) == []
    stage.start()
    assert shows(stage.show()) == ["hang"]
    stage.machine.load_began("hang", stage.now)
    assert isinstance(stage.tick(10)[0], ReplaceWorker)
    effects = stage.die()
    assert quarantined(effects) == ["hang"]
    assert answers(effects) == {number: Outcome.FAILED}


def test_hung_load_ahead_has_the_worker_replaced_too(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("wave")
    stage.machine.load_began("hang", stage.now)
    assert isinstance(stage.tick(10)[0], ReplaceWorker)
    number, effects = stage.ask("ink")
    assert effects == [], "it waits for the next worker"
    stage.die()
    assert shows(stage.start()) == ["wave"]
    assert shows(stage.show()) == ["ink"]
    assert answers(stage.show()) == {number: Outcome.SHOWN}


def test_preset_without_a_generator_is_not_blamed_for_a_worker_that_does_not_answer(
    stage: Stage,
) -> None:
    stage.start()
    stage.put_on_air("wave")
    for _ in range(3):
        _, effects = stage.machine.request(choice("bare", model=""), stage.now)
        stage.take(effects)
        assert isinstance(stage.tick(10)[0], ReplaceWorker)
        assert quarantined(stage.die()) == []
        stage.start()
        stage.show()


def test_request_is_answered_in_time_though_no_worker_ever_comes(stage: Stage) -> None:
    number, _ = stage.ask("wave")
    assert answers(stage.tick(24)) == {}
    assert answers(stage.tick(1)) == {number: Outcome.FAILED}
    assert not stage.machine.is_busy


def test_preset_whose_answer_was_that_it_failed_does_not_stay_on_air(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("wave")
    number, _ = stage.ask("slow")
    for _ in range(5):
        # Something else makes progress all the while.
        stage.machine.load_began("other", stage.now)
        stage.tick(4.9)
        stage.machine.load_ended(stage.now)
    effects = stage.tick(0.5)
    assert answers(effects) == {number: Outcome.FAILED}
    assert shows(effects) == ["wave"]
    stage.machine.preset_shown(number, stage.now, on_gpu=False)
    assert stage.machine.shown == choice("slow")
    stage.show()
    assert stage.machine.shown == choice("wave")


def test_strength_set_meanwhile_holds_for_what_is_shown_and_for_what_comes(stage: Stage) -> None:
    stage.start()
    stage.put_on_air("wave")
    stage.ask("ink")
    stage.machine.alter(lambda choice: replace(choice, strength=0.25))
    stage.show()
    assert stage.machine.shown == replace(choice("ink"), strength=0.25)
    stage.die()
    stage.start()
    assert stage.sent[-1].choice.strength == 0.25


def test_end_answers_all(stage: Stage) -> None:
    number, _ = stage.ask("wave")
    assert answers(stage.machine.close("it ends")) == {number: Outcome.FAILED}
    assert stage.machine.close("it ends") == []
    later, effects = stage.ask("ink")
    assert answers(effects) == {later: Outcome.FAILED}


class World:
    """A worker that does what random numbers say, and a list of what must always hold."""

    NAMES = ("wave", "ink", "neon", "killer", "broken", "hanger")

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.machine = PresetStateMachine(LIMITS)
        self.now = 0.0
        self.up = False
        self.inbox: list[Show] = []
        self.on_air: Show | None = None
        self.asked: dict[int, float] = {}
        self.answered: dict[int, Outcome] = {}
        self.forbidden: set[str] = set()
        self.died_under: Counter[str] = Counter()
        """Loads that took a worker with them since the preset was last well or forgiven."""
        self.calm = False
        self.stalled_until = 0.0
        """Till then nothing comes of the worker, neither its start nor its work."""

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Show(_, wanted, _):
                    assert self.up, "nothing is sent to a worker that is not there"
                    assert wanted.name not in self.forbidden, "it failed twice"
                    self.inbox.append(effect)
                case Answered(number, outcome, error):
                    assert number in self.asked, "nobody asked"
                    assert number not in self.answered, "answered twice"
                    assert (error is not None) == (outcome is Outcome.FAILED)
                    self.answered[number] = outcome
                case Quarantined(name, _):
                    assert name != PLAIN.name
                    self.forbidden.add(name)
                    self.check_quarantine()
                case ReplaceWorker():
                    self.die()

    def check_quarantine(self) -> None:
        assert set(self.machine.quarantined) == self.forbidden

    def check(self) -> None:
        for number, at in self.asked.items():
            assert number in self.answered or self.now - at <= LIMITS.answer + 1.0, "no answer"
        # One truth: the machine's, once it was told, is the worker's.
        shown = self.machine.shown
        assert (shown is None) == (self.on_air is None)
        if shown is not None and self.on_air is not None:
            assert shown.name == self.on_air.choice.name
        self.check_quarantine()

    def die(self) -> None:
        if not self.up:
            return
        self.up, self.on_air = False, None
        self.inbox.clear()
        effects = self.machine.worker_lost("it died", self.now)
        self.take(effects)

    @property
    def stalls(self) -> bool:
        return self.now < self.stalled_until and not self.calm

    def stall(self) -> None:
        self.stalled_until = self.now + self.random.uniform(0, 60)

    def start(self) -> None:
        if not self.up and not self.stalls:
            self.up = True
            self.take(self.machine.worker_started(self.now))

    def ask(self) -> None:
        if self.stalls and self.asked and self.random.random() < 0.97:
            # Nobody asks again and again of what does not move.
            return
        name = self.random.choice(self.NAMES)
        by_name = self.random.random() < 0.5
        if by_name:
            self.forbidden.discard(name)
            self.died_under.pop(name, None)
        number, effects = self.machine.request(choice(name), self.now, by_name=by_name)
        self.asked[number] = self.now
        self.take(effects)

    def work(self) -> None:
        """The worker takes what it was told, sometimes an older request before the newest."""
        if not self.up or not self.inbox or self.stalls:
            return
        newest = self.inbox[-1]
        todo = newest if self.calm or self.random.random() < 0.8 else self.inbox[0]
        name = todo.choice.name
        self.inbox = [show for show in self.inbox if show.request_id > todo.request_id]
        self.machine.load_began(name, self.now)
        if name == "killer" and self.random.random() < 0.7:
            self.die()
            self.died_under[name] += 1
            if self.died_under[name] >= LIMITS.deaths:
                assert name in self.machine.quarantined, "two workers died under it"
            return
        if name == "hanger" and self.random.random() < 0.7:
            # Nothing comes of it; the clock will tell.
            self.inbox.append(todo)
            return
        if name == "broken" or (not self.calm and self.random.random() < 0.1):
            self.machine.load_ended(self.now)
            self.take(self.machine.preset_failed(todo.request_id, BROKEN, self.now))
            return
        self.machine.load_ended(self.now)
        self.died_under.pop(name, None)
        self.on_air = todo
        self.take(self.machine.preset_shown(todo.request_id, self.now, on_gpu=False))

    def load_ahead(self) -> None:
        if self.up:
            self.machine.load_began(self.random.choice(self.NAMES), self.now)
            if self.random.random() < 0.5:
                self.machine.load_ended(self.now)

    def release(self) -> None:
        name = self.random.choice(self.NAMES)
        self.machine.release(name)
        self.forbidden.discard(name)
        self.died_under.pop(name, None)

    def nonsense(self) -> None:
        number = self.random.randrange(-2, 500)
        if self.machine.choice_of(number) is None:
            self.take(self.machine.preset_shown(number, self.now, on_gpu=False))
            self.take(self.machine.preset_failed(number, BROKEN, self.now))

    def step(self) -> None:
        weights = {
            self.work: 8,
            self.ask: 4,
            self.start: 4,
            self.die: 1,
            self.load_ahead: 1,
            self.release: 1,
            self.nonsense: 1,
            self.stall: 0.2,
        }
        self.random.choices(list(weights), list(weights.values()))[0]()
        self.now += self.random.choice([0.0, 0.0, 0.1, 1.0])
        self.take(self.machine.tick(self.now))
        self.check()


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_every_request_is_answered_and_there_is_one_truth(seed: int) -> None:
    world = World(seed)
    for _ in range(600):
        world.step()
    # Then the machine is left alone with a worker that is well.
    world.calm = True
    for _ in range(100):
        world.now += 0.5
        world.start()
        world.work()
        world.take(world.machine.tick(world.now))
        world.check()
    assert set(world.answered) == set(world.asked)
    assert world.machine.shown is not None, "something is on air"
    assert world.machine.shown.name not in world.forbidden
