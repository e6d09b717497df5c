"""What there is: presets, thumbnails, sources, hotkeys, files; and of the disk nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from obs_stylizer.control.hotkeys.report import HotkeyState, remove_report, write_report
from obs_stylizer.obs_filter.mapping import FilterMapping
from obs_stylizer.settings import runtime_folder
from obs_stylizer.web.file_routes import find_file
from obs_stylizer.web.thumbnails import Thumbnails
from tests.fakes.obs_filter import FakeFilter
from tests.web.conftest import Running, eventually


def test_status_has_what_was_promised(panel: Running) -> None:
    panel.api.tell_statistics()
    status = panel.client.get("/api/status").json()
    assert (status["preset"], status["provider"], status["source"]) == (
        "ink",
        "openvino",
        "pattern",
    )
    assert status["strength"] == 0.8
    assert set(status["worker"]) == {"state", "pid", "restarts"}
    assert status["fps"] == {"sink": 30.0}
    assert status["trouble"] == ""


def test_presets_with_their_errors(panel: Running, folder: Path) -> None:
    (folder / "wrong.yaml").write_text("title: [\n", "utf-8")
    panel.client.post("/api/reload")
    answer = panel.client.get("/api/presets").json()
    assert [preset["name"] for preset in answer["presets"]] == ["great-wave", "ink", "plain"]
    first = answer["presets"][0]
    assert (first["title"], first["strength"], first["hotkey"]) == ("Great Wave", 0.8, "ctrl+alt+g")
    assert first["thumbnail"] == "/api/presets/great-wave/thumbnail.jpg"
    assert [error["file"] for error in answer["errors"]] == ["wrong.yaml"]


def test_sources_with_the_reason_for_none(panel: Running) -> None:
    answer = panel.client.get("/api/sources").json()
    kinds = {source["kind"] for source in answer["sources"]}
    assert "pattern" in kinds
    assert "camera" in kinds or answer["reasons"]["cameras"]


def test_filters_in_obs(panel: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert panel.client.get("/api/obs-filters").json() == {"filters": []}
    one = FakeFilter(tmp_path / "obs-stylizer", "Guest")
    (told,) = panel.client.get("/api/obs-filters").json()["filters"]
    assert told == {
        "source": "obs-filter:Guest",
        "title": "“style” on “Guest”, 64x48",
        "preset": "",
        "seen": True,
        "served": False,
    }
    mapping = FilterMapping(one.path)
    mapping.beat()
    assert panel.client.get("/api/obs-filters").json()["filters"][0]["served"]
    mapping.close()
    one.close()


def test_hotkeys_that_were_asked_for(panel: Running) -> None:
    answer = panel.client.get("/api/hotkeys").json()
    assert answer["trouble"] == "nothing listens for keys"
    assert answer["hotkeys"][0] == {
        "keys": "ctrl+alt+g",
        "command": "preset great-wave",
        "title": "Great Wave",
        "problem": "",
    }
    assert answer["hotkeys"][-1]["title"] == "Next"


def test_hotkeys_as_they_are_heard(panel: Running) -> None:
    states = (HotkeyState("shift+1", "preset ink", "preset ink", "never arrives"),)
    write_report(runtime_folder(), "", states)
    try:
        answer = panel.client.get("/api/hotkeys").json()
    finally:
        remove_report(runtime_folder())
    assert answer["hotkeys"] == [
        {"keys": "shift+1", "command": "preset ink", "title": "Ink", "problem": "never arrives"}
    ]


# Thumbnails ------------------------------------------------------------------------------------


def colour(jpeg: bytes) -> list[int]:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return [int(value) for value in picture.mean((0, 1))[::-1]]


def thumbnail(panel: Running, name: str) -> bytes:
    answer = panel.client.get(f"/api/presets/{name}/thumbnail.jpg")
    return answer.content if answer.status_code == 200 else b""


def test_thumbnails_are_painted_from_the_live_picture(panel: Running, folder: Path) -> None:
    (folder / "grey.yaml").write_text("title: Grey\nafter: {saturation: 0}\n", "utf-8")
    panel.client.post("/api/reload")
    eventually(lambda: thumbnail(panel, "grey") and thumbnail(panel, "plain"))
    assert colour(thumbnail(panel, "plain")) == pytest.approx([200, 40, 40], abs=6)
    red, green, blue = colour(thumbnail(panel, "grey"))
    assert red == pytest.approx(green, abs=3) == pytest.approx(blue, abs=3)
    answer = panel.client.get("/api/presets/plain/thumbnail.jpg")
    tag = answer.headers["etag"]
    again = panel.client.get("/api/presets/plain/thumbnail.jpg", headers={"If-None-Match": tag})
    assert again.status_code == 304


def test_they_are_painted_at_the_lowest_priority_and_the_process_ends(panel: Running) -> None:
    thumbnails = panel.control._thumbnails  # type: ignore[union-attr]
    assert thumbnails.process_id is None, "nobody has looked yet"
    eventually(lambda: thumbnail(panel, "plain"))
    pid = thumbnails.process_id
    assert pid is not None
    if hasattr(os, "sched_getscheduler"):
        assert os.sched_getscheduler(pid) == os.SCHED_IDLE
    panel.stop()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_thumbnails_come_back_after_a_failure(
    panel: Running, monkeypatch: pytest.MonkeyPatch, log_errors: list[str]
) -> None:
    def fail(self: Thumbnails) -> None:
        raise RuntimeError("out of everything")

    with monkeypatch.context() as patch:
        patch.setattr(Thumbnails, "_paint_all", fail)
        thumbnail_or_none(panel, "plain")
        eventually(lambda: log_errors)
    log_errors.clear()
    eventually(lambda: thumbnail_or_none(panel, "plain"))


def thumbnail_or_none(panel: Running, name: str) -> bytes | None:
    answer = panel.client.get(f"/api/presets/{name}/thumbnail.jpg")
    return answer.content if answer.status_code == 200 else None


def test_thumbnails_survive_a_crash_of_their_process(panel: Running) -> None:
    eventually(lambda: thumbnail(panel, "plain"))
    thumbnails = panel.control._thumbnails  # type: ignore[union-attr]
    first = thumbnails.process_id
    assert first is not None
    psutil.Process(first).kill()
    panel.api.show((40, 200, 40), (0, 0, 0))
    thumbnails.renew()
    eventually(lambda: colour(thumbnail(panel, "plain"))[1] > 150)
    assert thumbnails.process_id != first


def test_picture_that_came_with_a_preset_stands_in(panel: Running, folder: Path) -> None:
    panel.api.plain_pixels = None
    assert thumbnail(panel, "ink") == b""
    cv2.imwrite(str(folder / "ink.jpg"), np.full((90, 160, 3), 77, np.uint8))
    assert colour(thumbnail(panel, "ink")) == pytest.approx([77] * 3, abs=3)
    (folder / "plain.jpg").write_text("no picture, but a secret", "utf-8")
    assert thumbnail(panel, "plain") == b""
    assert thumbnail(panel, "..%2Fink") == b""


# Files -----------------------------------------------------------------------------------------


@pytest.fixture
def films(panel: Running) -> Path:
    folder = panel.recording.recordings_folder
    folder.mkdir()
    return folder


def test_recordings_newest_first_and_in_parts(panel: Running, films: Path) -> None:
    for age, name in enumerate(("b.mkv", "a.mp4")):
        (films / name).write_bytes(b"0123456789")
        os.utime(films / name, (1_000_000 - age, 1_000_000 - age))
    answer = panel.client.get("/api/recordings").json()
    assert [file["name"] for file in answer["files"]] == ["b.mkv", "a.mp4"]
    assert answer["folder"] == str(films)
    read = panel.client.get(answer["files"][0]["url"])
    assert read.content == b"0123456789"
    assert read.headers["content-type"] == "video/x-matroska"
    part = panel.client.get("/api/recordings/b.mkv", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")


def test_a_folder_that_is_not_there_yet_is_empty(panel: Running) -> None:
    assert panel.client.get("/api/snapshots").json()["files"] == []


def test_what_is_being_recorded_is_not_read(panel: Running, films: Path) -> None:
    panel.client.post("/api/record")
    recorded = Path(panel.api.on_air.recording)
    recorded.write_bytes(b"half")
    (films / "link.mkv").symlink_to(recorded)
    assert panel.client.get("/api/recordings/link.mkv").status_code == 404


def test_nothing_else_of_the_disk_is_read(panel: Running, films: Path, folder: Path) -> None:
    (films / "secret.txt").write_text("secret")
    (films / ".hidden.mkv").write_text("secret")
    (films / "inner").mkdir()
    (films / "inner" / "c.mkv").write_text("secret")
    (folder / "outside.mkv").write_text("secret")
    (films / "link.mkv").symlink_to(folder / "outside.mkv")
    (films / "folder.mkv").mkdir()
    names = [
        "secret.txt",
        ".hidden.mkv",
        "link.mkv",
        "folder.mkv",
        "inner/c.mkv",
        "inner%2Fc.mkv",
        "../outside.mkv",
        "..%2Foutside.mkv",
        "..%5Coutside.mkv",
        "%2Fetc%2Fpasswd",
        "a.mkv%00.png",
        "C:%5Ca.mkv",
        "",
        "..",
        "a" * 3000 + ".mkv",
    ]
    for name in names:
        answer = panel.client.get(f"/api/recordings/{name}")
        assert answer.status_code in (307, 404), name
        assert answer.content != b"secret"
    assert panel.client.get("/api/recordings").json()["files"] == []
    assert find_file(films, "x\0.mkv") is None


def test_the_panel_reads_only_its_own_files(panel: Running) -> None:
    assert "content-security-policy" in panel.client.get("/").headers
    assert panel.client.get("/panel/panel.js").headers["content-type"].startswith("text/javascript")
    for path in ("/panel/", "/panel/../app.py", "/panel/..%2Fapp.py", "/panel/%2Fetc%2Fpasswd"):
        assert panel.client.get(path).status_code == 404
