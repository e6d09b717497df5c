"""``obs-stylizer ctl``: control the daemon that runs. Made to be bound to keys and buttons.

It starts in a fraction of the time that the other commands take, so it uses neither their
libraries nor their way to read options.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from obs_stylizer.cli.encoding import json_text
from obs_stylizer.cli.running_daemon import (
    ADDRESS_VARIABLE,
    TOKEN_VARIABLE,
    NoDaemonError,
    RefusedError,
    RunningDaemon,
    find_daemon,
    only_other,
)
from obs_stylizer.control.vocabulary import WORDS, message_from_words
from obs_stylizer.errors import StylizerError, UsageError

_TIMEOUT: Final = 20.0
_COUNTED: Final = ("sent", "repeated", "dropped")


def run_ctl(arguments: Sequence[str]) -> int:
    """Send one command; returns the exit code: 0, 1 (not done) or 2 (bad usage)."""
    try:
        return _run(arguments)
    except UsageError as error:
        return _complain(error, 2)
    except RefusedError as error:
        return _complain(error, 2 if error.status == 400 else 1)
    except StylizerError as error:
        return _complain(error, 1)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        return 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, "see: obs-stylizer ctl --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="obs-stylizer ctl", add_help=False, allow_abbrev=False)
    parser.add_argument("words", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--follow", action="store_true")
    parser.add_argument("--address")
    parser.add_argument("--token")
    parser.add_argument("--timeout", type=float, default=_TIMEOUT)
    return parser


def help_text() -> str:
    """Return every word with an example, and the options."""
    width = max(len(word.example) for word in WORDS.values())
    lines = [
        "Usage: obs-stylizer ctl [OPTIONS] WORD [ARGUMENT …]",
        "",
        "Control the daemon that runs, as in:",
        "",
        *(f"  obs-stylizer ctl {word.example:{width}}  {word.about}" for word in WORDS.values()),
        "",
        "Arguments have names too, as in: preset great-wave strength=0.5 crossfade_ms=200",
        "",
        "Options:",
        "  --json            print JSON for programs",
        "  --follow          print what happens from now on, until Ctrl-C",
        f"  --address TEXT    where it listens; else {ADDRESS_VARIABLE}, else your settings",
        f"  --token TEXT      to control another machine; else {TOKEN_VARIABLE}",
        f"  --timeout SECONDS how long an answer may take; {_TIMEOUT:g} if not given",
    ]
    return "\n".join(lines)


def _run(arguments: Sequence[str]) -> int:
    options = _parser().parse_intermixed_args(list(arguments))
    if options.help or (not options.words and not options.follow):
        print(help_text(), file=sys.stdout if options.help else sys.stderr)
        return 0 if options.help else 2
    if not options.timeout > 0:
        raise UsageError(f"--timeout {options.timeout:g}", "give a number of seconds above 0")
    # A word that does not exist needs no daemon to be told.
    message = message_from_words(options.words) if options.words else {}
    if message.get("command") in ("learn", "learn-keyframe"):
        # The daemon was started in another folder.
        for key in {"picture", "frame", "painted"} & message.keys():
            message[key] = str(Path(message[key]).expanduser().absolute())
    daemon = find_daemon(options.address, options.token, options.timeout)
    if message:
        try:
            _command(daemon, message, options.json)
        except NoDaemonError as error:
            daemon = only_other(daemon, error)
            _command(daemon, message, options.json)
    if options.follow:
        from obs_stylizer.cli.events import follow

        return follow(daemon, options.json)
    return 0


def _command(daemon: RunningDaemon, message: Mapping[str, Any], as_json: bool) -> None:
    if message == {"command": "status"}:
        status = daemon.get("/api/status")
        print(json_text(status, indent=2) if as_json else table(status))
        return
    answer = daemon.send(message)
    if as_json:
        print(json_text(answer, indent=2))
    else:
        print(answer["text"])


def table(status: Mapping[str, Any]) -> str:
    """Return the status as lines for people; what is not known is left out."""
    shown = [(name, text) for name, text in _lines(status) if text]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name:{width}}  {text}" for name, text in shown)


def _lines(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    def text(name: str) -> str:
        value = status.get(name)
        return "" if value is None else str(value)

    def number(form: str, name: str, group: str = "") -> str:
        value = (status.get(group) or {}).get(name) if group else status.get(name)
        return form.format(value) if isinstance(value, int | float) else ""

    quarantined: Mapping[str, str] = status.get("quarantined") or {}
    switches = (name for name in ("bypass", "freeze") if status.get(name) is True)
    restarts = (
        number("restarted {} times", "worker_restarts") if text("worker_restarts") != "0" else ""
    )
    shown = {"source": "source", "worker": "fresh", "keys": "key pictures", "sink": "sent"}
    rates = (number(f"{title} {{:.1f}}", name, "fps") for name, title in shown.items())
    return [
        ("trouble", text("trouble")),
        *(("set aside", f"{name}: {why}") for name, why in quarantined.items()),
        ("preset", text("preset")),
        ("title", text("title")),
        ("styles", _weights(status.get("styles") or {})),
        ("strength", number("{:.0%}", "strength")),
        ("picture", _joined(text("picture"), *switches)),
        ("source", " ".join((text("source"), text("source_state"))).strip()),
        ("generator", _joined(text("generator"), text("process_size"))),
        ("runs", _joined(text("provider"), text("precision"))),
        ("device", text("device")),
        ("worker", _joined(text("worker_state"), restarts)),
        ("fps", _joined(*rates)),
        ("latency", number("{:.0f} ms", "median", "latency_ms")),
        ("frames", _joined(*(number(f"{{}} {name}", name) for name in _COUNTED))),
        ("recording", text("recording")),
        ("memory", number("{:.0f} MB", "memory_mb")),
        ("on air for", _duration(status.get("uptime_s"))),
    ]


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _weights(styles: Mapping[str, float]) -> str:
    return _joined(*(f"{name} {weight:g}" for name, weight in styles.items() if weight))


def _duration(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _complain(error: StylizerError, code: int) -> int:
    red, plain = ("\033[31m", "\033[0m") if sys.stderr.isatty() else ("", "")
    sys.stderr.write(f"{red}error:{plain} {error}\n")
    return code
