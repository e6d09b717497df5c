"""``obs-stylizer ctl`` against the real web server, and against servers that are none."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from obs_stylizer.cli import app, ctl, running_daemon
from obs_stylizer.cli.ctl import run_ctl
from obs_stylizer.cli.running_daemon import Address
from obs_stylizer.control.vocabulary import WORDS
from obs_stylizer.errors import UsageError
from obs_stylizer.locks import ResourceLock
from obs_stylizer.settings import config_folder, runtime_folder
from tests.web.conftest import TOKEN, Running, on_air

COMMAND = [sys.executable, "-m", "obs_stylizer"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "presets"
    folder.mkdir()
    for name in ("ink", "plain", "wave"):
        (folder / f"{name}.yaml").write_text(f"title: {name}\nstrength: 0.8\n", "utf-8")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of its own, and no daemon of anybody's in the environment."""
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    for variable in (running_daemon.ADDRESS_VARIABLE, running_daemon.TOKEN_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    config_folder().mkdir(parents=True)
    runtime_folder().mkdir(parents=True)
    return tmp_path


@pytest.fixture
def daemon(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    # As the daemon leaves it for the programs of its own user.
    (config_folder() / "token").write_text(f"{TOKEN}\n", "utf-8")
    with on_air(folder) as running:
        monkeypatch.setenv(running_daemon.ADDRESS_VARIABLE, running.url)
        yield running


def until(condition: Callable[[], object], timeout: float = 10) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_commands(daemon: Running, capsys: pytest.CaptureFixture[str]) -> None:
    api = daemon.api
    assert run_ctl(["preset", "wave", "strength=0.5"]) == 0
    assert (api.on_air.preset, api.on_air.strength) == ("wave", 0.5)
    assert capsys.readouterr().out == "preset wave\n"
    assert run_ctl(["strength", "-0.25"]) == 0
    assert api.on_air.strength == 0.25
    assert run_ctl(["strength", "+0.1"]) == 0
    assert api.on_air.strength == pytest.approx(0.35)
    assert run_ctl(["bypass"]) == 0
    assert api.on_air.bypass
    assert run_ctl(["bypass", "off"]) == 0
    assert not api.on_air.bypass
    assert run_ctl(["mix", "wild=1"]) == 0
    assert api.on_air.styles == {"calm": 0.0, "wild": 1.0}
    assert run_ctl(["next"]) == 0
    assert api.on_air.preset == "ink"


@pytest.mark.parametrize(
    "arguments",
    [["--json", "preset", "wave"], ["preset", "--json", "wave"], ["preset", "wave", "--json"]],
)
def test_json(daemon: Running, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run_ctl(arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["text"] == "preset wave"
    assert isinstance(answer["details"], dict)


def test_status(daemon: Running, capsys: pytest.CaptureFixture[str]) -> None:
    run_ctl(["freeze"])
    capsys.readouterr()
    assert run_ctl(["status"]) == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert lines["preset"] == "ink"
    assert lines["strength"] == "80%"
    assert lines["styles"] == "calm 1"
    assert lines["picture"] == "freeze"
    assert lines["runs"] == "openvino, bf16"
    assert lines["source"] == "pattern open"
    assert lines["fps"].endswith("sent 30.0")
    assert "trouble" not in lines
    assert run_ctl(["status", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert {"preset", "strength", "provider", "source", "worker"} <= status.keys()


def test_table_of_next_to_nothing() -> None:
    assert ctl.table({}) == ""
    aside = {"preset": "ink", "quarantined": {"wave": "it was ended by signal 11"}}
    assert ctl.table(aside).splitlines() == [
        "set aside  wave: it was ended by signal 11",
        "preset     ink",
    ]
    assert ctl.table({"preset": "ink", "fps": None, "strength": "?"}) == "preset  ink"


def test_command_that_fails(daemon: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_ctl(["preset", "inc"]) == 1
    assert "error: there is no preset “inc” (did you mean “ink”?)" in capsys.readouterr().err
    daemon.api.broken.add("wave")
    assert run_ctl(["preset", "wave"]) == 1
    assert capsys.readouterr().err == "error: model is gone (fetch it)\n"
    assert run_ctl(["strength", "2"]) == 2
    assert "out of range" in capsys.readouterr().err
    assert daemon.api.on_air.preset == "ink"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nxt"], "there is no command “nxt” (did you mean “next”?)"),
        (["next", "please"], "“please” is too much after next"),
        (["next", "--jsn"], "unrecognized arguments: --jsn (see: obs-stylizer ctl --help)"),
        (["next", "--timeout", "soon"], "invalid float value: 'soon'"),
        (["next", "--timeout", "0"], "give a number of seconds above 0"),
        (["next", "--address", "ftp://x"], "“ftp://x” is no address of a daemon"),
        (["next", "--address", "x:y"], "“x:y” is no address"),
        (["next", "--address", "x:99999"], "“x:99999” is no address"),
        (["next", "--address", "nowhere.invalid"], "there is no machine “nowhere.invalid”"),
    ],
)
def test_bad_usage(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert run_ctl(arguments) == 2
    assert reason in capsys.readouterr().err


def test_help_lists_every_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_ctl(["--help"]) == 0
    shown = capsys.readouterr().out
    for word in WORDS.values():
        assert f"obs-stylizer ctl {word.example}" in shown
        assert word.about in shown
    assert run_ctl([]) == 2
    assert capsys.readouterr().err == shown


def test_no_daemon(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config_folder() / "config.yaml").write_text(f"web: {{port: {free_port()}}}\n", "utf-8")
    assert run_ctl(["next"]) == 1
    assert "(start it with: obs-stylizer run)" in capsys.readouterr().err
    assert run_ctl(["next", "--address", f":{free_port()}"]) == 1
    assert "(check the address)" in capsys.readouterr().err


def test_address_of_the_settings(
    folder: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with on_air(folder) as running:
        port = Address.parse(running.url).port
        path = config_folder() / "config.yaml"
        path.write_text(f"web: {{port: {port}}}\n", "utf-8")
        assert run_ctl(["next"]) == 0
        assert running.api.on_air.preset == "plain"
        for broken in ("web: {port: high}\n", "web: 5\n", "web: [\n", "[web]\n"):
            path.write_text(broken, "utf-8")
            assert running_daemon.find_daemon(None, None, 1).address.port == 8765
            assert "cannot be read; trying 127.0.0.1:8765" in capsys.readouterr().err
        path.write_text("web: {address: 0.0.0.0, port: 9000}\n", "utf-8")
        assert str(running_daemon.find_daemon(None, None, 1).address) == "127.0.0.1:9000"
        path.write_text("web:\npreset: ink\n", "utf-8")
        assert str(running_daemon.find_daemon(None, None, 1).address) == "127.0.0.1:8765"


def test_daemon_at_another_port_is_found_by_its_lock(
    folder: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (config_folder() / "config.yaml").write_text(f"web: {{port: {free_port()}}}\n", "utf-8")
    with on_air(folder, port=free_port()) as running:
        assert run_ctl(["next"]) == 0
        assert running.api.on_air.preset == "plain"
        second = ResourceLock.take(f"port {free_port()}")
        try:
            assert run_ctl(["next"]) == 1
            assert "others run at 127.0.0.1:" in capsys.readouterr().err
        finally:
            second.release()
        # One that was named is meant.
        assert run_ctl(["next", "--address", f"127.0.0.1:{free_port()}"]) == 1
    assert run_ctl(["next"]) == 1
    assert "start it with: obs-stylizer run" in capsys.readouterr().err


def test_token(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with on_air(folder, address="0.0.0.0") as running:
        address = ["--address", running.url]
        assert run_ctl(["next", *address]) == 1
        said = capsys.readouterr().err
        assert (
            "the token is missing or wrong (give what is in its file “token” with --token" in said
        )
        assert run_ctl(["next", *address, "--token", TOKEN]) == 0
        monkeypatch.setenv(running_daemon.TOKEN_VARIABLE, TOKEN)
        assert run_ctl(["next", *address]) == 0
        monkeypatch.delenv(running_daemon.TOKEN_VARIABLE)
        (config_folder() / "token").write_text(f"{TOKEN}\n", "utf-8")
        assert run_ctl(["next", *address]) == 0
        assert running.api.on_air.preset == "ink"


def test_another_account_switches_presets_and_no_source(
    daemon: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_ctl(["source", "screen:2"]) == 0
    (config_folder() / "token").unlink()
    assert run_ctl(["next"]) == 0
    for words in (["source", "screen:1"], ["bypass"], ["snapshot"], ["quit"]):
        assert run_ctl(words) == 1
        assert "the token is missing or wrong (give what is in its" in capsys.readouterr().err
    assert daemon.api.on_air.source == "screen:2"


def test_own_token_goes_to_no_other_machine(home: Path) -> None:
    (config_folder() / "token").write_text(TOKEN, "utf-8")
    assert running_daemon.find_daemon("127.0.0.1:1", None, 1).token == TOKEN
    assert running_daemon.find_daemon("192.0.2.1:1", None, 1).token == ""
    assert running_daemon.find_daemon("[::1]:1", None, 1).token == TOKEN
    assert running_daemon.find_daemon("example.com", None, 1).token == ""


@contextmanager
def impostor(answer: bytes, *, stays: bool = False) -> Iterator[str]:
    """A server that answers each request with some bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ending = threading.Event()

        def serve() -> None:
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                with line:
                    line.recv(65536)
                    line.sendall(answer)
                    if stays:
                        ending.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        ending.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
    ],
)
def test_server_that_is_no_daemon(
    home: Path, capsys: pytest.CaptureFixture[str], answer: bytes
) -> None:
    with impostor(answer) as address:
        assert run_ctl(["next", "--address", address]) == 1
    assert f"what answers at {address} is no obs-stylizer" in capsys.readouterr().err


def test_server_that_hangs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with impostor(b"", stays=True) as address:
        started = time.monotonic()
        assert run_ctl(["next", "--address", address, "--timeout", "0.3"]) == 1
        assert time.monotonic() - started < 3
    assert f"obs-stylizer at {address} has not answered in 0.3 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9000", Address("127.0.0.1", 9000)),
        ("http://127.0.0.1:9000/", Address("127.0.0.1", 9000)),
        (":9000", Address("127.0.0.1", 9000)),
        ("studio", Address("studio", 8765)),
        ("[::1]:9000", Address("::1", 9000)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


def test_address_with_a_path_is_refused() -> None:
    with pytest.raises(UsageError):
        Address.parse("http://127.0.0.1:9000/stream.mjpg")


def test_follow(daemon: Running) -> None:
    follower = subprocess.Popen(
        [*COMMAND, "ctl", "bypass", "on", "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert follower.stdout is not None
    try:
        assert follower.stdout.readline() == "bypass on\n"
        assert daemon.control is not None
        until(lambda: daemon.control._event_feed.listener_count == 1)  # type: ignore[union-attr]
        assert run_ctl(["preset", "wave"]) == 0
        assert "preset wave" in follower.stdout.readline()
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 0
        assert follower.stderr is not None
        assert follower.stderr.read() == ""
    finally:
        follower.kill()
        follower.communicate()


def test_follow_until_the_daemon_ends(daemon: Running, capsys: pytest.CaptureFixture[str]) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run_ctl(["--follow", "--json"])))
    thread.start()
    assert daemon.control is not None
    until(lambda: daemon.control._event_feed.listener_count == 1)  # type: ignore[union-attr]
    daemon.stop()
    thread.join(10)
    assert codes == [1]
    told = capsys.readouterr()
    assert json.loads(told.out.splitlines()[0])["kind"] == "hello"
    assert "has ended" in told.err
    assert run_ctl(["--follow"]) == 1
    assert "no obs-stylizer answers" in capsys.readouterr().err


def test_nothing_heavy_is_loaded(daemon: Running) -> None:
    program = (
        "import sys; sys.argv = ['obs-stylizer', 'ctl', 'strength', '0.5']\n"
        "from obs_stylizer.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'numpy', 'cv2', 'pydantic', 'yaml', 'typer', 'rich', 'psutil', 'logging'}\n"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["strength 0.5", "set()"]


def test_folder_is_that_of_the_settings(home: Path) -> None:
    assert running_daemon.config_folder() == config_folder()


def test_stands_among_the_other_commands(
    daemon: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = CliRunner().invoke(app.app, ["--help"]).output
    assert "Control the daemon that runs" in shown
    assert app.run_command_line(["ctl", "strength", "-0.1"]) == 0
    assert daemon.api.on_air.strength == pytest.approx(0.7)
    assert app.run_command_line(["ctl", "--help"]) == 0
    assert "obs-stylizer ctl snapshot" in capsys.readouterr().out
    assert app.run_command_line(["ctl", "preset", "inc"]) == 1
