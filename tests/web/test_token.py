"""The token: made once, read by its user alone."""

from __future__ import annotations

import logging
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from obs_stylizer.settings import config_folder
from obs_stylizer.web.token import read_or_make_token, token_file

only_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@only_posix
def test_made_at_the_first_start_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "token"
    token = read_or_make_token(path)
    assert len(token) >= 40
    assert permissions(path) == 0o600
    assert read_or_make_token(path) == token
    assert read_or_make_token(tmp_path / "other") != token


def test_all_who_start_at_the_same_moment_have_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as many:
        for attempt in range(40):
            path = tmp_path / str(attempt) / "token"
            tokens = set(many.map(lambda _, path=path: read_or_make_token(path), range(8)))
            assert tokens == {path.read_text("utf-8").strip()}
            assert [file.name for file in path.parent.iterdir()] == ["token"]


def test_it_is_beside_the_settings() -> None:
    assert token_file() == config_folder() / "token"


@only_posix
def test_open_to_others_is_mended_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "token"
    token = read_or_make_token(path)
    path.chmod(0o644)
    assert read_or_make_token(path) == token
    assert permissions(path) == 0o600
    assert "was open to other users" in caplog.text


@pytest.mark.parametrize("content", ["", "short", "\n\n"])
def test_an_unusable_one_is_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(0o600)
    token = read_or_make_token(path)
    assert len(token) >= 40
    assert path.read_text().strip() == token


def test_where_it_cannot_be_kept_it_is_that_of_the_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        first = read_or_make_token(tmp_path / "file" / "token")
    assert "cannot be kept" in caplog.text
    # Panel and streams of one process let the same programs in, and one warning is enough.
    caplog.clear()
    assert read_or_make_token(tmp_path / "file" / "token") == first
    assert caplog.text == ""
