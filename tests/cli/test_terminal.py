"""Log lines never make the threads wait that write them."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator

import pytest

from obs_stylizer.cli.terminal import MOST_LINES, Terminal

log = logging.getLogger("stuck")


class StuckStream(io.StringIO):
    """Takes nothing until it is let go, as a terminal after Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()
        self.is_waiting = threading.Event()

    def write(self, text: str) -> int:
        self.is_waiting.set()
        self.goes_on.wait(30)
        return super().write(text)


@pytest.fixture(autouse=True)
def plain_lines() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers, root.level
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    root.handlers, root.level = [handler], logging.INFO
    yield
    root.handlers, root.level = before


def test_lines_come_out_in_order_and_whole() -> None:
    stream = io.StringIO()
    with Terminal(stream):
        for number in range(100):
            log.info("line %d", number)
    log.info("not through it")
    assert stream.getvalue() == "".join(f"INFO line {number}\n" for number in range(100))


def test_a_stuck_terminal_holds_nobody_up_and_what_was_lost_is_told() -> None:
    stream = StuckStream()
    with Terminal(stream) as terminal:
        log.info("first")
        assert stream.is_waiting.wait(10)
        for number in range(MOST_LINES + 50):
            log.info("line %d", number)
        assert terminal.lost == 50
        stream.goes_on.set()
    lines = stream.getvalue().splitlines()
    wanted = [f"INFO line {number}" for number in range(MOST_LINES)]
    assert lines[: MOST_LINES + 1] == ["INFO first", *wanted]
    assert lines[MOST_LINES + 1 :] == [
        "WARNING 50 log lines were lost here, since nothing could be written"
    ]


def test_a_stuck_terminal_does_not_keep_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("obs_stylizer.cli.terminal._END_SECONDS", 0.05)
    stream = StuckStream()
    with Terminal(stream):
        log.info("first")
        assert stream.is_waiting.wait(10)
    assert stream.getvalue() == ""
    stream.goes_on.set()


def test_a_closed_terminal_is_borne() -> None:
    stream = io.StringIO()
    with Terminal(stream) as terminal:
        stream.close()
        log.info("into nothing")
        terminal.show_status("nothing to show it on")


class Console(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(io.StringIO(), "…"), (Console(), "a-Secret_1")])
def test_the_token_is_told_to_a_terminal_and_to_no_file(stream: io.StringIO, shown: str) -> None:
    with Terminal(stream):
        log.info("panel: %s (or another)", "http://127.0.0.1:1/?token=a-Secret_1&view=raw")
    assert stream.getvalue() == (
        f"INFO panel: http://127.0.0.1:1/?token={shown}&view=raw (or another)\n"
    )


def test_a_wrong_line_ends_nobody() -> None:
    stream = io.StringIO()
    with Terminal(stream):
        log.info("%d of %d", "one")  # type: ignore[str-format]
        log.info("goes on")
    assert "a log line of stuck cannot be made: '%d of %d'" in stream.getvalue()
    assert stream.getvalue().endswith("INFO goes on\n")
