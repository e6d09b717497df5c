"""Locks: the second comer is refused and told of the first; the dead hold nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from obs_stylizer.errors import BusyError
from obs_stylizer.locks import ResourceLock, _paths, holder_of

HOLD = """
import sys
from obs_stylizer.locks import ResourceLock
lock = ResourceLock.take("port 1")
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_is_told_of_the_first() -> None:
    lock = ResourceLock.take("port 1")
    with pytest.raises(BusyError) as caught:
        ResourceLock.take("port 1", remedy="choose port 2")
    lock.release()
    assert f"port 1 is held by obs-stylizer, process {os.getpid()}, since" in caught.value.message
    assert caught.value.remedy == "choose port 2"


def test_a_released_thing_is_free() -> None:
    lock = ResourceLock.take("port 1")
    assert holder_of("port 1") is not None
    lock.release()
    lock.release()
    assert holder_of("port 1") is None
    ResourceLock.take("port 1").release()


def test_things_with_names_alike_are_different() -> None:
    first, second = ResourceLock.take("/dev/video1"), ResourceLock.take("dev video1")
    first.release()
    second.release()


def test_it_may_be_released_in_another_thread() -> None:
    lock = ResourceLock.take("port 1")
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    ResourceLock.take("port 1").release()


def test_another_process_is_named_and_a_killed_one_holds_nothing() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    with process.stdout, process.stdin:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match=f"process {process.pid}, since"):
            ResourceLock.take("port 1")
        process.kill()
        process.wait()
    assert holder_of("port 1") is None
    ResourceLock.take("port 1").release()


@pytest.mark.parametrize("note", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}'])
def test_a_broken_note_costs_only_the_name(note: str) -> None:
    lock = ResourceLock.take("port 1")
    _paths("port 1")[1].write_text(note)
    with pytest.raises(BusyError, match="port 1 is held by another obs-stylizer"):
        ResourceLock.take("port 1")
    lock.release()


def test_a_process_number_that_was_given_away_names_nobody() -> None:
    _, note = _paths("port 1")
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"pid": os.getpid(), "since": 1000.0}))
    assert holder_of("port 1") is None
    note.unlink()
