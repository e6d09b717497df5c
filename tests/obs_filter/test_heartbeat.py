"""Signs of life that are renewed while somebody works, and only then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from obs_stylizer.obs_filter.heartbeat import Heartbeat
from obs_stylizer.obs_filter.mapping import FilterMapping
from tests.fakes.obs_filter import FakeFilter


@pytest.fixture
def filter_in_obs(tmp_path: Path) -> Iterator[FakeFilter]:
    made = FakeFilter(tmp_path)
    yield made
    made.close()


@pytest.fixture
def heartbeat(filter_in_obs: FakeFilter) -> Iterator[Heartbeat]:
    mapping = FilterMapping(filter_in_obs.path)
    made = Heartbeat(mapping)
    yield made
    made.close()
    mapping.close()


def beat(one: FakeFilter) -> int:
    return int(one.head["beat"][0])


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_signs_of_life_go_on_by_themselves(filter_in_obs: FakeFilter, heartbeat: Heartbeat) -> None:
    assert beat(filter_in_obs) == 0
    heartbeat.go_on(600)
    assert beat(filter_in_obs) == 1
    until(lambda: beat(filter_in_obs) > 4)


def test_they_end_when_nobody_says_any_more_that_he_works(
    filter_in_obs: FakeFilter, heartbeat: Heartbeat
) -> None:
    heartbeat.go_on(0.2)
    until(lambda: stands_still(filter_in_obs))
    assert beat(filter_in_obs) > 0
    heartbeat.go_on(600)
    assert not stands_still(filter_in_obs)


def stands_still(one: FakeFilter) -> bool:
    before = beat(one)
    time.sleep(0.3)
    return beat(one) == before


def test_rest_takes_them_back(filter_in_obs: FakeFilter, heartbeat: Heartbeat) -> None:
    heartbeat.go_on(600)
    heartbeat.rest()
    assert stands_still(filter_in_obs)
    assert beat(filter_in_obs) == 0
    heartbeat.go_on(600)
    assert beat(filter_in_obs) > 0


def test_after_its_end_the_file_is_left_alone(filter_in_obs: FakeFilter) -> None:
    mapping = FilterMapping(filter_in_obs.path)
    heartbeat = Heartbeat(mapping)
    heartbeat.go_on(600)
    heartbeat.close()
    mapping.close()
    assert stands_still(filter_in_obs)
    assert beat(filter_in_obs) == 0
    heartbeat._thread.join(5)
    assert not heartbeat._thread.is_alive()
