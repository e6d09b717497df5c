import ast
import importlib.util
import sys
from pathlib import Path

import checks
import commands
import pytest
from commands import Request, UsageError, parse
from progress import failure

INSTALLER = Path(commands.__file__).parent


def test_what_follows_a_command_is_handed_on_unread() -> None:
    assert parse(["run"]) == Request("run")
    assert parse(["run", "--help", "--", "run"]) == Request("run", ("--help", "--", "run"))
    assert parse(["test", "-k", "presets"]) == Request("test", ("-k", "presets"))


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], ["help"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(arguments) == 0
    assert "run" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["runn"], ["--frames", "3"], [""]])
def test_bad_usage_is_told_with_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError):
        parse(arguments)
    assert commands.main(arguments) == 2
    assert "usage:" in capsys.readouterr().err


def load_install() -> object:
    spec = importlib.util.spec_from_file_location("install", INSTALLER / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 9, 18), (3, 10, 13)])
def test_an_old_python_is_told_so(
    version: tuple[int, int, int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install = load_install()
    monkeypatch.setattr(sys, "version_info", version)
    assert install.main(["run"]) == 1  # type: ignore[attr-defined]
    said = capsys.readouterr().err
    assert "needs Python 3.11 or newer" in said
    assert ".".join(map(str, version)) in said


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 1), (4, 0, 0)])
def test_a_new_python_is_told_nothing(version: tuple[int, int, int]) -> None:
    assert load_install().too_old_message(version) == ""  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", sorted(INSTALLER.glob("*.py")), ids=lambda path: path.name)
def test_an_old_python_can_read_the_installer(path: Path) -> None:
    ast.parse(path.read_text("utf-8"), feature_version=(3, 9))


def test_every_check_runs_and_the_failed_ones_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wanted = [checks.Check(name, ()) for name in ("first", "second", "third")]
    outcomes = checks.run_checks(wanted, lambda check: {"second": 5}.get(check.name, 0))
    assert [outcome.exit_code for outcome in outcomes] == [0, 5, 0]
    assert "2/3 second" in capsys.readouterr().out
    told = checks.summary(outcomes)
    assert told.splitlines()[-1] == "failed: second"
    assert "exit code 5" in told
    assert checks.summary(outcomes[:1]).splitlines()[-1] == "all checks ok"


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("2026-01-01T10:00:00,123 ERROR: Could not find a version that\n", "Could not find"),
        ("  NewConnectionError('…: Failed to resolve')\nERROR: No matching\n", "network"),
        ("ERROR: Could not install: [Errno 28] No space left on device\n", "disk is full"),
    ],
)
def test_a_failed_step_tells_what_was_seen_and_what_to_do(
    log: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "install.log"
    path.write_text(log, "utf-8")
    text = str(failure("installing the packages failed", path))
    assert "installing the packages failed" in text
    assert told in text
    assert str(path) in text
