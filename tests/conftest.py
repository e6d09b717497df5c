"""What every test stands on: folders of its own, and a log without errors."""

from __future__ import annotations

import logging
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import display, shim

# Left out unless named in -m, since they need a machine or much time of their own.
_ON_REQUEST = ("hardware", "slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = str(config.getoption("-m"))
    left_out = [mark for mark in _ON_REQUEST if mark not in wanted]
    dropped = [item for item in items if any(item.get_closest_marker(mark) for mark in left_out)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in set(dropped)]


@pytest.fixture(scope="session", autouse=True)
def private_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep settings, caches, locks and filters in OBS away from those of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CACHE_HOME", "CONFIG_HOME", "DATA_HOME", "STATE_HOME", "RUNTIME_DIR"):
            folder = tmp_path_factory.mktemp(f"xdg_{name.lower()}")
            patch.setenv(f"XDG_{name}", str(folder))
        yield


@pytest.fixture(scope="session", autouse=True)
def signals_end_programs() -> None:
    """Let the programs that tests start be ended by signals, as at a terminal.

    A shell that starts the tests in the background has them ignore some, and what they start
    would inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def log_errors() -> Iterator[list[str]]:
    """Fail the test if anything logged an error. One that means to cause it clears the list."""
    handler = _Errors()
    logging.getLogger().addHandler(handler)
    yield handler.messages
    logging.getLogger().removeHandler(handler)
    if handler.messages:
        pytest.fail("errors in the log:\n" + "\n".join(handler.messages))


@pytest.fixture(scope="session")
def shim_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that pretends virtual camera devices."""
    if shim.compiler() is None:
        pytest.skip("no C compiler (apt install gcc) to build the fake virtual camera")
    return shim.build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def x_display(monkeypatch: pytest.MonkeyPatch) -> Iterator[display.Display]:
    """An X11 screen of 320x240 that nobody sees."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (apt install xvfb)")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("XDG_SESSION_TYPE", raising=False)
    with display.start(320, 240) as started:
        monkeypatch.setenv("DISPLAY", started.name)
        yield started
