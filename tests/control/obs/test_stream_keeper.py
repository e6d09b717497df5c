"""A media source that stands still is opened again; none else is touched."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from obs_stylizer.control.obs.connection import Connection
from obs_stylizer.control.obs.setup import INPUT_NAME
from obs_stylizer.control.obs.stream_keeper import StreamKeeper
from tests.fakes import obs_server
from tests.fakes.obs_server import PASSWORD, FakeObs

PLAYING = "OBS_MEDIA_STATE_PLAYING"
ENDED = "OBS_MEDIA_STATE_ENDED"


@pytest.fixture
def server() -> Iterator[FakeObs]:
    with obs_server.running() as made:
        yield made


@pytest.fixture
def connection(server: FakeObs) -> Iterator[Connection]:
    made = Connection("127.0.0.1", server.port, PASSWORD)
    made.connect()
    receiving = threading.Thread(target=made.receive)
    receiving.start()
    yield made
    made.leave()
    receiving.join(5)


def opened_again(
    server: FakeObs, connection: Connection, *states: tuple[str, int | None] | str
) -> int:
    keeper = StreamKeeper()
    for state in states:
        answer: Any = state
        if not isinstance(state, str):
            answer = {"mediaState": state[0], "mediaCursor": state[1]}
        server.answers["GetMediaInputStatus"] = answer
        keeper.check(connection)
    connection.ask("GetVersion")
    pokes = server.named("SetInputSettings")
    assert all(poke == {"inputName": INPUT_NAME, "inputSettings": {}} for poke in pokes)
    return len(pokes)


def test_standing_still_is_opened_again(server: FakeObs, connection: Connection) -> None:
    assert opened_again(server, connection, (PLAYING, 0), (PLAYING, 0)) == 1


def test_opened_again_it_gets_time(server: FakeObs, connection: Connection) -> None:
    assert opened_again(server, connection, *[(PLAYING, None)] * 5) == 2


def test_playing_is_left_alone(server: FakeObs, connection: Connection) -> None:
    assert opened_again(server, connection, (PLAYING, 0), (PLAYING, 4000), (PLAYING, 8000)) == 0


def test_what_obs_opens_itself_is_left_alone(server: FakeObs, connection: Connection) -> None:
    assert opened_again(server, connection, *[(ENDED, None)] * 3) == 0


def test_other_inputs_are_left_alone(server: FakeObs, connection: Connection) -> None:
    assert opened_again(server, connection, *["not found"] * 3) == 0
