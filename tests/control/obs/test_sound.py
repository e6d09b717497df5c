"""Sound is delayed in few steps, and the old offsets come back whatever happens."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from obs_stylizer.control.obs.connection import Connection
from obs_stylizer.control.obs.link import Link
from obs_stylizer.control.obs.sound_sync import KeptOffsets, SoundDelay, SoundSync
from tests.fakes import obs_server
from tests.fakes.obs_server import PASSWORD, FakeObs


def steps(delay: SoundDelay, *latencies: float) -> list[int]:
    return [step for latency in latencies if (step := delay.observe(latency)) is not None]


def test_first_step_waits_for_agreement() -> None:
    assert steps(SoundDelay(), 80, 82, 79, 81) == []
    assert steps(SoundDelay(), 80, 82, 79, 81, 80) == [80]
    assert steps(SoundDelay(), 300, 80, 82, 79, 81, 80) == [80]


def test_small_changes_are_left() -> None:
    delay = SoundDelay()
    assert steps(delay, *[80] * 5) == [80]
    assert steps(delay, *[94.9] * 20, *[65.1] * 20) == []
    assert delay.milliseconds == 80


def test_large_change_is_one_step() -> None:
    delay = SoundDelay()
    assert steps(delay, *[80] * 5, *[100, 130, 160, 180], *[180] * 20) == [80, 180]


def test_unrest_is_settled_after_half_a_minute() -> None:
    assert len(steps(SoundDelay(), *[40, 90] * 16)) == 1


@pytest.fixture
def kept(tmp_path: Path) -> KeptOffsets:
    return KeptOffsets(tmp_path / "state" / "offsets.json", "127.0.0.1:4455")


def test_offset_is_kept_once_and_by_place(kept: KeptOffsets, tmp_path: Path) -> None:
    other = KeptOffsets(tmp_path / "state" / "offsets.json", "elsewhere:4455")
    assert kept.keep("Mic", 40)
    assert kept.keep("Mic", 99)
    assert other.keep("Mic", 7)
    assert kept.read() == {"Mic": 40}
    kept.forget("Mic")
    kept.forget("Mic")
    assert (kept.read(), other.read()) == ({}, {"Mic": 7})
    other.forget("Mic")
    assert not (tmp_path / "state" / "offsets.json").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 3}', '{"a": {"Mic": "x"}}'])
def test_unreadable_file_is_told_and_replaced(
    text: str, kept: KeptOffsets, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state" / "offsets.json"
    path.parent.mkdir()
    path.write_text(text)
    assert kept.read() == {}
    assert "cannot be read" in caplog.text
    assert kept.keep("Mic", 40)
    assert kept.read() == {"Mic": 40}


def test_nothing_is_changed_that_cannot_be_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    unwritable = KeptOffsets(tmp_path / "state" / "offsets.json", "x")
    with obs_server.running() as server, connected(server) as connection:
        sound = SoundSync(["Mic"], 0, unwritable)
        for _ in range(5):
            sound.observe(80, connection)
        assert server.named("SetInputAudioSyncOffset") == []
    assert "cannot be kept" in caplog.text


@contextmanager
def connected(server: FakeObs) -> Iterator[Connection]:
    """A connection to an OBS whose inputs have audio offsets."""
    offsets = {"Mic": 40, "Desk": 0}

    def get(inputName: str) -> object:  # noqa: N803
        if inputName not in offsets:
            return "No source was found"
        return {"inputAudioSyncOffset": offsets[inputName]}

    def change(inputName: str, inputAudioSyncOffset: int) -> object:  # noqa: N803
        if inputName not in offsets:
            return "No source was found"
        offsets[inputName] = inputAudioSyncOffset
        return {}

    server.answers["GetInputAudioSyncOffset"] = get
    server.answers["SetInputAudioSyncOffset"] = change
    server.answers["offsets"] = offsets
    made: queue.SimpleQueue[Connection] = queue.SimpleQueue()
    link = Link("127.0.0.1", server.port, PASSWORD, made.put, print, print)
    link.start()
    yield made.get(timeout=5)
    link.stop()


def test_offsets_follow_the_latency_and_come_back(kept: KeptOffsets) -> None:
    with obs_server.running() as server, connected(server) as connection:
        sound = SoundSync(["Mic", "Desk"], 30, kept)
        sound.begin(connection)
        for _ in range(6):
            sound.observe(80, connection)
        assert server.answers["offsets"] == {"Mic": 110, "Desk": 110}
        assert kept.read() == {"Mic": 40, "Desk": 0}
        sound.end(connection)
        assert server.answers["offsets"] == {"Mic": 40, "Desk": 0}
        assert kept.read() == {}


def test_old_offsets_survive_a_crash(kept: KeptOffsets) -> None:
    with obs_server.running() as server, connected(server) as connection:
        crashed = SoundSync(["Mic", "Desk"], 0, kept)
        for _ in range(5):
            crashed.observe(80, connection)
        # The next run has only one of them in its settings.
        sound = SoundSync(["Mic"], 0, kept)
        sound.begin(connection)
        assert server.answers["offsets"] == {"Mic": 80, "Desk": 0}
        for _ in range(5):
            sound.observe(120, connection)
        assert server.answers["offsets"]["Mic"] == 120
        sound.end(connection)
        assert server.answers["offsets"] == {"Mic": 40, "Desk": 0}


def test_offset_is_set_again_on_a_new_connection(kept: KeptOffsets) -> None:
    with obs_server.running() as server, connected(server) as connection:
        sound = SoundSync(["Mic"], 0, kept)
        for _ in range(5):
            sound.observe(80, None)
        assert server.answers["offsets"]["Mic"] == 40
        sound.begin(connection)
        assert server.answers["offsets"]["Mic"] == 80


def test_away_at_the_end_is_told_and_restored_later(
    kept: KeptOffsets, caplog: pytest.LogCaptureFixture
) -> None:
    with obs_server.running() as server, connected(server) as connection:
        sound = SoundSync(["Mic"], 0, kept)
        for _ in range(5):
            sound.observe(80, connection)
        sound.end(None)
        assert "restored when we meet it again" in caplog.text
        SoundSync([], 0, kept).begin(connection)
        assert server.answers["offsets"]["Mic"] == 40


def test_input_that_is_not_there_is_told_once(
    kept: KeptOffsets, caplog: pytest.LogCaptureFixture
) -> None:
    with obs_server.running() as server, connected(server) as connection:
        sound = SoundSync(["Mik", "Mic"], 0, kept)
        for latency in [80] * 5 + [120] * 5:
            sound.observe(latency, connection)
        assert server.answers["offsets"]["Mic"] == 120
    assert caplog.text.count("“Mik” cannot be delayed") == 1
