"""What is done once a second goes on, and the end is noticed, whatever fails."""

from __future__ import annotations

import threading

from obs_stylizer.clock import ManualClock
from obs_stylizer.daemon.housekeeping import Housekeeping


class Hour(ManualClock):
    """A clock on which every look is a second later."""

    def now(self) -> float:
        self.advance(1.0)
        return super().now()


def test_job_that_fails_keeps_neither_the_others_nor_the_end(log_errors: list[str]) -> None:
    done: list[str] = []
    ending = threading.Event()

    def fail() -> None:
        done.append("failing")
        raise UnicodeEncodeError("latin-1", "●", 0, 1, "ordinal not in range(256)")

    housekeeping = Housekeeping(
        lambda: len(done) >= 6,
        {"the status line": fail, "counting": lambda: done.append("counting")},
        ending,
        Hour(),
    )
    housekeeping.start()
    assert ending.wait(20)
    assert housekeeping.stop(20)
    assert done == ["failing", "counting"] * 3
    assert len(log_errors) == 1, "told once, not every second"
    assert "the status line failed" in log_errors.pop()


def test_watch_for_the_end_that_fails_once_is_asked_again(log_errors: list[str]) -> None:
    answers = iter([ValueError("not yet"), False, True])
    ending = threading.Event()

    def is_over() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    Housekeeping(is_over, {}, ending, Hour()).start()
    assert ending.wait(20)
    log_errors.clear()
