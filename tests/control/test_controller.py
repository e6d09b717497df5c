"""Commands and events in, orders and answers out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from obs_stylizer.control.commands import (
    ApplyPreset,
    ChangeSource,
    Quit,
    Reload,
    SetBypass,
    SetStrength,
)
from obs_stylizer.control.controller import Controller
from obs_stylizer.errors import ModelError, PresetError, SourceLostError, StylizerError, UsageError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider, RunsOn
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime import messages
from obs_stylizer.realtime.messages import Order
from obs_stylizer.sources.base import SourceInfo
from obs_stylizer.sources.spec import SourceSpec

RUNS_ON = RunsOn(Provider.OPENVINO, "A CPU", Precision.BF16, "12 ms against 29 ms")
PATTERN = SourceSpec.parse("pattern")


class Pipeline:
    """Answers every look as the worker would; ``broken`` names what cannot be loaded."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.broken: set[str] = set()
        self.mute = False
        self.has_quit = False
        self.controller: Controller | None = None

    def order(self, order: Order) -> None:
        self.orders.append(order)
        if isinstance(order, messages.ShowLook) and not self.mute:
            assert self.controller is not None
            self.controller.tell(self.answer(order))

    def answer(self, order: messages.ShowLook) -> messages.Event:
        name = order.preset.name
        if name in self.broken:
            return messages.LookFailed(order.look, name, ModelError("model is gone", "fetch it"))
        return messages.LookShown(order.look, name, RUNS_ON, FrameSize(640, 360))

    def quit(self) -> None:
        self.has_quit = True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ink", "wave"):
        (tmp_path / f"{name}.yaml").write_text(f"title: {name}\nstrength: 0.8\n", "utf-8")
    return tmp_path


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
def controller(folder: Path, pipeline: Pipeline) -> Iterator[Controller]:
    controller = Controller(pipeline, PresetLibrary([folder]), PATTERN, preload=True)
    pipeline.controller = controller
    controller.start()
    yield controller
    controller.stop()


def apply(controller: Controller, name: str, **changes: float) -> str:
    return controller.send(ApplyPreset(name, **changes)).result(5)


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
    order = pipeline.orders[0]
    assert isinstance(order, messages.ShowLook)
    assert (order.strength, order.crossfade_ms) == (0.3, 50)


def test_all_presets_are_preloaded_after_the_first(
    controller: Controller, pipeline: Pipeline
) -> None:
    apply(controller, "wave")
    settled(controller)
    apply(controller, "ink")
    settled(controller)
    preloads = [order for order in pipeline.orders if isinstance(order, messages.Preload)]
    assert [[named.name for named in order.presets] for order in preloads] == [["ink", "wave"]]


def test_unknown_preset_changes_nothing(controller: Controller, pipeline: Pipeline) -> None:
    apply(controller, "wave")
    with pytest.raises(PresetError, match="did you mean “ink”"):
        apply(controller, "inc")
    assert controller.on_air.preset == "wave"
    assert sum(isinstance(order, messages.ShowLook) for order in pipeline.orders) == 1


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
    newest = pipeline.orders[1]
    assert isinstance(newest, messages.ShowLook)
    controller.tell(pipeline.answer(newest))
    assert second.result(5) == "preset ink"
    assert "overtaken" in first.result(5)


def test_strength_and_bypass(controller: Controller, pipeline: Pipeline) -> None:
    assert controller.send(SetStrength(0.25)).result(5) == "strength 0.25"
    assert controller.send(SetBypass(True)).result(5) == "bypass on"
    assert (controller.on_air.strength, controller.on_air.bypass) == (0.25, True)
    with pytest.raises(UsageError, match="out of range"):
        controller.send(SetStrength(2)).result(5)
    with pytest.raises(UsageError, match="out of range"):
        apply(controller, "wave", strength=-1)
    assert controller.on_air.strength == 0.25


def test_changed_file_of_the_preset_on_air_is_shown_again(
    controller: Controller, pipeline: Pipeline, folder: Path
) -> None:
    apply(controller, "wave")
    (folder / "wave.yaml").write_text("title: Wave two\nstrength: 0.5\n", "utf-8")
    assert controller.send(Reload()).result(5) == "presets that changed: wave"
    settled(controller)
    assert controller.on_air.strength == 0.5
    (folder / "wave.yaml").write_text("title: [\n", "utf-8")
    assert controller.send(Reload()).result(5) == "presets that changed: none"
    assert controller.on_air.strength == 0.5


def test_source_is_followed(controller: Controller, pipeline: Pipeline) -> None:
    apply(controller, "wave")
    controller.tell(messages.SourceOpened(PATTERN, SourceInfo("Bars", FrameSize(64, 64), 30.0)))
    settled(controller)
    assert (controller.on_air.source_state, controller.on_air.source_name) == ("open", "Bars")
    controller.tell(messages.SourceLost(PATTERN, SourceLostError("camera 0 is unplugged")))
    settled(controller)
    assert controller.on_air.source_state == "lost"
    assert controller.on_air.trouble == "camera 0 is unplugged"
    controller.send(ChangeSource("screen:1")).result(5)
    assert pipeline.orders[-1] == messages.ChangeSource(SourceSpec.parse("screen:1"))
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
