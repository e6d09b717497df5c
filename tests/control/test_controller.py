"""Commands and events in, requests and answers out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.control import commands
from obs_stylizer.control import controller as controller_module
from obs_stylizer.control.commands import (
    ApplyPreset,
    ChangeSource,
    Command,
    GetStatus,
    MixStyles,
    NextPreset,
    PreviousPreset,
    Quit,
    Record,
    Reload,
    SetBypass,
    SetCoherence,
    SetCrossfade,
    SetFreeze,
    SetStrength,
    StepStrength,
    TakeSnapshot,
    Undo,
)
from obs_stylizer.control.controller import Controller
from obs_stylizer.control.event_bus import ControlEvent, EventBus, EventKind
from obs_stylizer.errors import (
    ModelError,
    PresetError,
    SinkError,
    SourceLostError,
    StylizerError,
    UsageError,
)
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider, RunsOn
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime import events, requests
from obs_stylizer.realtime.governor import Governor
from obs_stylizer.realtime.requests import Request
from obs_stylizer.sources.base import SourceInfo
from obs_stylizer.sources.spec import SourceSpec

RUNS_ON = RunsOn(Provider.OPENVINO, "A CPU", Precision.BF16, "12 ms against 29 ms")
PATTERN = SourceSpec.parse("pattern")


class Pipeline:
    """Answers every request as the worker would; ``broken`` names what cannot be loaded."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.replaced: list[str] = []
        self.broken: set[str] = set()
        self.mute = False
        self.has_quit = False
        self.frozen = False
        self.disk_is_full = False
        self.controller: Controller | None = None

    def request(self, request: Request) -> None:
        self.requests.append(request)
        if isinstance(request, requests.ShowPreset) and not self.mute:
            assert self.controller is not None
            self.controller.tell(self.answer(request))

    def answer(self, request: requests.ShowPreset) -> events.Event:
        name = request.preset.name
        if name in self.broken:
            return events.PresetFailed(
                request.request_id, name, ModelError("model is gone", "fetch it")
            )
        styles = dict(request.styles or {"calm": 1.0, "wild": 0.0})
        return events.PresetShown(
            request.request_id,
            name,
            RUNS_ON,
            FrameSize(640, 360),
            0.0,
            {} if name == "plain" else styles,
            coherence=0.9 if request.coherence is None else request.coherence,
        )

    def replace_worker(self, reason: str) -> None:
        self.replaced.append(reason)

    def freeze(self, frozen: bool) -> None:
        self.frozen = frozen

    def start_recording(self) -> Future[Path]:
        return self._recorded(events.RecordingStarted(Path("show.mkv")))

    def stop_recording(self) -> Future[Path]:
        return self._recorded(events.RecordingEnded(Path("show.mkv")))

    def _recorded(self, event: events.RecordingStarted | events.RecordingEnded) -> Future[Path]:
        done: Future[Path] = Future()
        if self.disk_is_full:
            done.set_exception(SinkError("the disk is full"))
        else:
            assert self.controller is not None
            self.controller.tell(event)
            done.set_result(event.path)
        return done

    def take_snapshot(self) -> Future[Mapping[str, Path]]:
        done: Future[Mapping[str, Path]] = Future()
        done.set_result({"styled": Path("one-styled.png")})
        return done

    def quit(self) -> None:
        self.has_quit = True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ink", "plain", "wave"):
        (tmp_path / f"{name}.yaml").write_text(f"title: {name}\nstrength: 0.8\n", "utf-8")
    return tmp_path


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
def heard() -> list[ControlEvent]:
    return []


@pytest.fixture
def controller(folder: Path, pipeline: Pipeline, heard: list[ControlEvent]) -> Iterator[Controller]:
    event_bus = EventBus()
    event_bus.subscribe(heard.append)
    library = PresetLibrary([folder])
    controller = Controller(pipeline, library, PATTERN, preload=True, event_bus=event_bus)
    pipeline.controller = controller
    controller.start()
    controller.tell(events.WorkerStarted(1, 0))
    yield controller
    controller.stop()


def apply(controller: Controller, name: str, **changes: float) -> str:
    return controller.send(ApplyPreset(name, **changes)).result(5).text


def do(controller: Controller, command: Command) -> str:
    return controller.send(command).result(5).text


def settled(controller: Controller) -> None:
    """Return when everything sent before this was taken in."""
    controller.send(SetBypass(controller.on_air.bypass)).result(5)


def test_preset_goes_on_air_with_its_own_strength(controller: Controller) -> None:
    assert apply(controller, "wave") == "preset wave"
    on_air = controller.on_air
    assert (on_air.preset, on_air.strength, on_air.trouble) == ("wave", 0.8, "")
    assert (on_air.provider, on_air.precision) == ("openvino", "bf16")
    assert on_air.why == "12 ms against 29 ms"


def test_strength_of_the_command_wins(controller: Controller, pipeline: Pipeline) -> None:
    apply(controller, "wave", strength=0.3, crossfade_ms=50)
    assert controller.on_air.strength == 0.3
    request = pipeline.requests[0]
    assert isinstance(request, requests.ShowPreset)
    assert (request.strength, request.crossfade_ms) == (0.3, 50)


def test_all_presets_are_preloaded_after_the_first(
    controller: Controller, pipeline: Pipeline
) -> None:
    apply(controller, "wave")
    settled(controller)
    apply(controller, "ink")
    settled(controller)
    preloads = [request for request in pipeline.requests if isinstance(request, requests.Preload)]
    assert [[named.name for named in request.presets] for request in preloads] == [
        ["ink", "plain", "wave"]
    ]


def test_warm_preset_is_loaded_and_not_shown(controller: Controller, pipeline: Pipeline) -> None:
    apply(controller, "wave")
    assert do(controller, commands.WarmPreset("ink")) == "loading ink"
    request = pipeline.requests[-1]
    assert isinstance(request, requests.Warm)
    assert request.preset.name == "ink"
    assert controller.on_air.preset == "wave"
    with pytest.raises(PresetError, match="did you mean “ink”"):
        do(controller, commands.WarmPreset("inc"))


def test_unknown_preset_changes_nothing(controller: Controller, pipeline: Pipeline) -> None:
    apply(controller, "wave")
    with pytest.raises(PresetError, match="did you mean “ink”"):
        apply(controller, "inc")
    assert controller.on_air.preset == "wave"
    assert sum(isinstance(request, requests.ShowPreset) for request in pipeline.requests) == 1


def test_preset_that_cannot_be_loaded_leaves_the_old_one(
    controller: Controller, pipeline: Pipeline
) -> None:
    apply(controller, "wave")
    pipeline.broken.add("ink")
    with pytest.raises(ModelError, match="model is gone"):
        apply(controller, "ink")
    assert controller.on_air.preset == "wave"
    assert controller.on_air.trouble == ""


def test_overtaken_preset_is_answered(controller: Controller, pipeline: Pipeline) -> None:
    pipeline.mute = True
    first = controller.send(ApplyPreset("wave"))
    second = controller.send(ApplyPreset("ink"))
    settled(controller)
    newest = pipeline.requests[1]
    assert isinstance(newest, requests.ShowPreset)
    controller.tell(pipeline.answer(newest))
    assert second.result(5).text == "preset ink"
    assert "overtaken" in first.result(5).text


def test_strength_and_bypass(controller: Controller, pipeline: Pipeline) -> None:
    assert controller.send(SetStrength(0.25)).result(5).text == "strength 0.25"
    assert controller.send(SetBypass(True)).result(5).text == "bypass on"
    assert (controller.on_air.strength, controller.on_air.bypass) == (0.25, True)
    with pytest.raises(UsageError, match="out of range"):
        controller.send(SetStrength(2)).result(5)
    with pytest.raises(UsageError, match="out of range"):
        apply(controller, "wave", strength=-1)
    assert controller.on_air.strength == 0.25


def test_coherence_is_set_and_kept_for_the_next_worker(
    controller: Controller, pipeline: Pipeline
) -> None:
    apply(controller, "wave")
    assert controller.send(SetCoherence(0.25)).result(5).text == "coherence 0.25"
    assert controller.on_air.coherence == 0.25
    assert requests.SetCoherence(0.25) in pipeline.requests
    controller.tell(events.WorkerLost("killed", 0.0))
    controller.tell(events.WorkerStarted(7, 1))
    settled(controller)
    again = next(
        request
        for request in reversed(pipeline.requests)
        if isinstance(request, requests.ShowPreset)
    )
    assert again.coherence == 0.25
    with pytest.raises(UsageError, match="out of range"):
        controller.send(SetCoherence(1.5)).result(5)


def test_changed_file_of_the_preset_on_air_is_shown_again(
    controller: Controller, pipeline: Pipeline, folder: Path
) -> None:
    apply(controller, "wave")
    (folder / "wave.yaml").write_text("title: Wave two\nstrength: 0.5\n", "utf-8")
    assert controller.send(Reload()).result(5).text == "presets that changed: wave"
    settled(controller)
    assert controller.on_air.strength == 0.5
    (folder / "wave.yaml").write_text("title: [\n", "utf-8")
    assert controller.send(Reload()).result(5).text == "presets that changed: none"
    assert controller.on_air.strength == 0.5


def test_source_is_followed(controller: Controller, pipeline: Pipeline) -> None:
    apply(controller, "wave")
    controller.tell(events.SourceOpened(PATTERN, SourceInfo("Bars", FrameSize(64, 64), 30.0)))
    settled(controller)
    assert (controller.on_air.source_state, controller.on_air.source_name) == ("open", "Bars")
    controller.tell(events.SourceLost(PATTERN, SourceLostError("camera 0 is unplugged")))
    settled(controller)
    assert controller.on_air.source_state == "lost"
    assert controller.on_air.trouble == "camera 0 is unplugged"
    controller.send(ChangeSource("screen:1")).result(5)
    assert pipeline.requests[-1] == requests.ChangeSource(SourceSpec.parse("screen:1"))
    with pytest.raises(UsageError, match="is no source"):
        controller.send(ChangeSource("telepathy")).result(5)


def test_first_preset_that_fails_is_trouble_and_an_error_in_the_log(
    controller: Controller, pipeline: Pipeline, log_errors: list[str]
) -> None:
    pipeline.broken.add("ink")
    with pytest.raises(ModelError):
        apply(controller, "ink")
    assert "ink cannot be loaded" in controller.on_air.trouble
    assert len(log_errors) == 1
    assert "model is gone (fetch it)" in log_errors.pop()


def test_quit_reaches_the_pipeline(controller: Controller, pipeline: Pipeline) -> None:
    controller.send(Quit()).result(5)
    assert pipeline.has_quit


def test_waiting_command_fails_when_the_daemon_ends(
    controller: Controller, pipeline: Pipeline
) -> None:
    pipeline.mute = True
    waiting = controller.send(ApplyPreset("wave"))
    controller.stop()
    with pytest.raises(StylizerError, match="ending"):
        waiting.result(5)


def test_next_and_previous_go_round_by_name(controller: Controller) -> None:
    apply(controller, "wave")
    seen = [do(controller, NextPreset()) for _ in range(3)]
    assert seen == ["preset ink", "preset plain", "preset wave"]
    assert do(controller, PreviousPreset()) == "preset plain"


def test_next_twice_before_the_first_is_loaded_is_two_further(
    controller: Controller, pipeline: Pipeline
) -> None:
    apply(controller, "ink")
    pipeline.mute = True
    controller.send(NextPreset())
    controller.send(NextPreset())
    settled(controller)
    newest = [request for request in pipeline.requests if isinstance(request, requests.ShowPreset)][
        -1
    ]
    assert newest.preset.name == "wave"


def test_strength_steps_stay_within_range(controller: Controller) -> None:
    apply(controller, "wave")
    assert do(controller, StepStrength(0.15)) == "strength 0.95"
    assert do(controller, StepStrength(0.15)) == "strength 1"
    assert do(controller, StepStrength(-3)) == "strength 0"


def test_mix_reaches_the_worker_whole_and_is_kept(
    controller: Controller, pipeline: Pipeline
) -> None:
    apply(controller, "wave")
    assert do(controller, MixStyles({"wild": 0.5})) == "mix wild=0.5"
    assert pipeline.requests[-1] == requests.SetStyles({"calm": 0.0, "wild": 0.5})
    assert controller.on_air.styles == {"calm": 0.0, "wild": 0.5}


@pytest.mark.parametrize(
    ("styles", "reason"),
    [
        ({"tame": 1.0}, "no style “tame”"),
        ({"calm": -1.0}, "out of range"),
        ({"calm": float("nan")}, "out of range"),
        ({"calm": 0.0}, "every style has the weight 0"),
        ({}, "every style has the weight 0"),
    ],
)
def test_wrong_mix_changes_nothing(
    controller: Controller, styles: dict[str, float], reason: str
) -> None:
    apply(controller, "wave")
    with pytest.raises(UsageError, match=reason):
        do(controller, MixStyles(styles))
    assert controller.on_air.styles == {"calm": 1.0, "wild": 0.0}


def test_what_has_no_styles_cannot_be_mixed(controller: Controller) -> None:
    apply(controller, "plain")
    with pytest.raises(UsageError, match="plain has no styles to mix"):
        do(controller, MixStyles({"calm": 1.0}))


def test_before_the_first_preset_there_is_nothing_to_mix(controller: Controller) -> None:
    with pytest.raises(UsageError, match="what is on air has no styles to mix"):
        do(controller, MixStyles({"wild": 0.5}))


def test_undo_goes_back_step_by_step(controller: Controller) -> None:
    apply(controller, "wave")
    do(controller, MixStyles({"wild": 1.0}))
    do(controller, SetCoherence(0.2))
    do(controller, SetStrength(0.6))
    do(controller, SetStrength(0.3))
    apply(controller, "ink")

    def now() -> tuple[str, float, float]:
        on_air = controller.on_air
        return on_air.preset, on_air.strength, on_air.styles["wild"]

    do(controller, Undo())
    assert now() == ("wave", 0.3, 1.0)
    do(controller, Undo())
    assert now() == ("wave", 0.8, 1.0), "the two strengths were one gesture"
    assert controller.on_air.coherence == 0.2
    do(controller, Undo())
    assert controller.on_air.coherence == 0.9
    assert now() == ("wave", 0.8, 1.0)
    do(controller, Undo())
    assert now() == ("wave", 0.8, 0.0)
    with pytest.raises(UsageError, match="nothing to take back"):
        do(controller, Undo())


def test_crossfade_for_all_presets(controller: Controller, pipeline: Pipeline) -> None:
    do(controller, SetCrossfade(50))
    apply(controller, "wave")
    do(controller, SetCrossfade(None))
    apply(controller, "ink")
    shown = [request for request in pipeline.requests if isinstance(request, requests.ShowPreset)]
    assert [request.crossfade_ms for request in shown] == [50, None]
    with pytest.raises(UsageError, match="out of range"):
        do(controller, SetCrossfade(-1))


def test_strength_set_while_a_preset_loads_holds_for_it(
    controller: Controller, pipeline: Pipeline
) -> None:
    apply(controller, "wave")
    pipeline.mute = True
    controller.send(ApplyPreset("ink"))
    do(controller, SetStrength(0.4))
    newest = [request for request in pipeline.requests if isinstance(request, requests.ShowPreset)][
        -1
    ]
    controller.tell(pipeline.answer(newest))
    settled(controller)
    assert (controller.on_air.preset, controller.on_air.strength) == ("ink", 0.4)


def test_bypass_and_freeze_turn_over(controller: Controller, pipeline: Pipeline) -> None:
    assert do(controller, SetBypass()) == "bypass on"
    assert do(controller, SetBypass()) == "bypass off"
    assert do(controller, SetFreeze()) == "freeze on"
    assert pipeline.frozen
    assert controller.on_air.freeze
    assert do(controller, SetFreeze()) == "freeze off"


def test_recording_is_started_and_ended(controller: Controller, heard: list[ControlEvent]) -> None:
    with pytest.raises(UsageError, match="nothing is being recorded"):
        do(controller, Record(False))
    assert do(controller, Record()) == "recording to show.mkv"
    settled(controller)
    assert controller.on_air.recording == "show.mkv"
    assert do(controller, Record(True)) == "already recording to show.mkv"
    assert do(controller, Record()) == "recorded show.mkv"
    settled(controller)
    assert controller.on_air.recording == ""
    assert [one.text for one in heard if one.kind is EventKind.RECORDING_ENDED] == [
        "recorded show.mkv"
    ]


def test_recording_that_cannot_start_says_why(controller: Controller, pipeline: Pipeline) -> None:
    pipeline.disk_is_full = True
    with pytest.raises(SinkError, match="disk is full"):
        do(controller, Record(True))
    assert controller.on_air.recording == ""


def test_snapshot_and_status_answer(controller: Controller) -> None:
    assert do(controller, TakeSnapshot()) == "saved one-styled.png"
    apply(controller, "wave")
    answer = controller.send(GetStatus()).result(5)
    assert answer.text.startswith("wave at 80%, pattern, openvino")
    assert answer.details["styles"] == {"calm": 1.0, "wild": 0.0}


def test_every_change_is_published_once(controller: Controller, heard: list[ControlEvent]) -> None:
    apply(controller, "wave")
    settled(controller)
    heard.clear()
    do(controller, SetStrength(0.5))
    do(controller, SetStrength(0.5))
    settled(controller)
    assert [one.details["changed"] for one in heard] == [["strength"]]
    assert heard[0].details["strength"] == 0.5


def test_trouble_is_published_in_words(
    controller: Controller, pipeline: Pipeline, heard: list[ControlEvent]
) -> None:
    apply(controller, "wave")
    pipeline.broken.add("ink")
    with pytest.raises(ModelError):
        apply(controller, "ink")
    controller.tell(events.SourceLost(PATTERN, SourceLostError("camera 0 is unplugged")))
    settled(controller)
    told = {one.kind: one.text for one in heard if one.text}
    assert told[EventKind.PRESET_FAILED] == "preset ink: model is gone (fetch it)"
    assert told[EventKind.SOURCE_LOST] == "camera 0 is unplugged"


def test_command_after_the_end_fails_at_once(controller: Controller) -> None:
    controller.stop()
    with pytest.raises(StylizerError, match="ending"):
        do(controller, NextPreset())


def test_nothing_ends_the_controller(
    controller: Controller, monkeypatch: pytest.MonkeyPatch, log_errors: list[str]
) -> None:
    apply(controller, "wave")
    with monkeypatch.context() as patch:
        patch.setattr(controller_module, "_REFRESH_SECONDS", 0.0)
        patch.setattr(PresetLibrary, "refresh", lambda self: deep(0))
        with pytest.raises(StylizerError, match="the command failed"):
            apply(controller, "ink")
        while not any("preset files" in error for error in log_errors):
            settled(controller)
        for _ in range(20):
            settled(controller)
    assert sum("preset files" in error for error in log_errors) == 1, "told once, not for ever"
    assert apply(controller, "ink") == "preset ink"
    log_errors.clear()


def deep(depth: int) -> set[str]:
    """What a file that refers to itself does to a reader."""
    return deep(depth + 1)


def test_a_generator_that_takes_no_smaller_frames_is_let_be(
    folder: Path, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    hand = ManualClock()
    library = PresetLibrary([folder])
    controller = Controller(
        pipeline, library, PATTERN, preload=False, governor=Governor(), clock=hand
    )
    pipeline.controller = controller
    controller.start()
    try:
        controller.tell(events.WorkerStarted(1, 0))
        apply(controller, "wave")
        for _ in range(12):
            hand.advance(1.5)
            # Whatever is asked for, it is shown at 640x360.
            controller.tell(events.LoadMeasured(0.2, 30))
            settled(controller)
    finally:
        controller.stop()
    asked = [r for r in pipeline.requests if isinstance(r, requests.ShowPreset)]
    assert len(asked) == 2
    assert "at 640x360 and no smaller, which is more than this machine can do" in caplog.text


class Learning:
    """Learns styles at once."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def learn(self, picture: str, name: str, seconds: float) -> str:
        self.asked.append((picture, name, seconds))
        return "fresh"

    def learn_keyframe(self, frame: str, painted: str, name: str, seconds: float) -> str:
        self.asked.append((frame, painted, name, seconds))
        return "fresh"

    def more(self, seconds: float) -> str:
        self.asked.append((seconds,))
        return "fresh"

    def keep(self) -> str:
        return "fresh"

    def forget(self) -> str:
        raise UsageError("no style is being learnt")


def test_a_style_that_was_learnt_goes_on_air(
    folder: Path, pipeline: Pipeline, heard: list[ControlEvent]
) -> None:
    event_bus = EventBus()
    event_bus.subscribe(heard.append)
    learning = Learning()
    controller = Controller(
        pipeline,
        PresetLibrary([folder]),
        PATTERN,
        preload=False,
        event_bus=event_bus,
        learning=learning,
    )
    pipeline.controller = controller
    controller.start()
    try:
        controller.tell(events.WorkerStarted(1, 0))
        answer = controller.send(commands.LearnStyle("a.jpg", "fresh", 30)).result(5)
        assert answer.details == {"style": "fresh"}
        assert learning.asked == [("a.jpg", "fresh", 30)]
        progress = {"name": "fresh", "state": "learning", "share": 0.5}
        controller.tell(events.StyleLearning(progress))
        # Written by the process that learnt it.
        (folder / "fresh.yaml").write_text("title: Fresh\n", "utf-8")
        for _ in range(2):
            controller.tell(events.StyleLearning({**progress, "state": "learnt", "share": 1.0}))
            controller.send(commands.GetStatus()).result(5)
        shown = [r for r in pipeline.requests if isinstance(r, requests.ShowPreset)]
        # Once more after “more”: the preset is the same, its style is not.
        assert [request.preset.name for request in shown] == ["fresh", "fresh"]
        assert controller.on_air.learning["state"] == "learnt"
        told = [event for event in heard if event.kind is EventKind.STYLE_LEARNT]
        assert told[0].text == "learnt the style fresh"
        with pytest.raises(UsageError, match="no style is being learnt"):
            controller.send(commands.ForgetLearnt()).result(5)

        # A painted frame is shown as soon as there is something, and then follows its file.
        asked = commands.LearnKeyframe("a.png", "b.png", "fresh", 9)
        assert controller.send(asked).result(5).details == {"style": "fresh"}
        assert learning.asked[-1] == ("a.png", "b.png", "fresh", 9)
        before = sum(isinstance(r, requests.ShowPreset) for r in pipeline.requests)
        for exports in (0, 0, 1, 1, 2):
            controller.tell(events.StyleLearning({**progress, "exports": exports}))
            controller.send(commands.GetStatus()).result(5)
        shown = [r for r in pipeline.requests if isinstance(r, requests.ShowPreset)]
        assert len(shown) == before + 1
    finally:
        controller.stop()
