"""Every command over HTTP, and what cannot be done."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from obs_stylizer.control.vocabulary import WORDS
from obs_stylizer.realtime import events, requests
from obs_stylizer.web import answers
from obs_stylizer.web.free_paths import is_free
from tests.web.conftest import TOKEN, Running, eventually

JSON = "application/json"


def post(panel: Running, word: str, **arguments: object) -> httpx.Response:
    return panel.client.post(f"/api/{word}", json=arguments)


def error_of(response: httpx.Response) -> dict[str, str]:
    error: dict[str, str] = response.json()["error"]
    assert set(error) == {"message", "remedy"}
    return error


def test_preset_with_all_its_arguments(panel: Running) -> None:
    answer = post(panel, "preset", name="great-wave", strength=0.5, crossfade_ms=100)
    assert answer.status_code == 200
    assert answer.json()["text"] == "preset great-wave"
    assert answer.json()["details"]["strength"] == 0.5
    status = panel.client.get("/api/status").json()
    assert (status["preset"], status["strength"]) == ("great-wave", 0.5)
    request = panel.api.requests[-1]
    assert isinstance(request, requests.ShowPreset)
    assert request.crossfade_ms == 100


CHANGES: list[tuple[str, dict[str, Any], str, object]] = [
    ("next", {}, "preset", "plain"),
    ("previous", {}, "preset", "great-wave"),
    ("strength", {"strength": 0.25}, "strength", 0.25),
    ("strength-step", {"by": -0.3}, "strength", 0.5),
    ("coherence", {"coherence": 0.25}, "coherence", 0.25),
    ("mix", {"styles": {"wild": 2}}, "styles", {"calm": 0.0, "wild": 2.0}),
    ("crossfade", {"milliseconds": 900}, "crossfade_ms", 900.0),
    ("bypass", {}, "bypass", True),
    ("bypass", {"bypass": True}, "bypass", True),
    ("freeze", {}, "freeze", True),
    ("source", {"source": "screen:1"}, "source", "screen:1"),
]


def test_what_each_command_changes(panel: Running) -> None:
    for word, arguments, key, value in CHANGES:
        post(panel, "preset", name="ink")
        answer = post(panel, word, **arguments)
        assert answer.status_code == 200, answer.text
        until_status(panel, key, value)


def until_status(panel: Running, key: str, value: object) -> None:
    for _ in range(200):
        if panel.client.get("/api/status").json()[key] == value:
            return
    assert panel.client.get("/api/status").json()[key] == value


def test_recording_snapshot_reload_undo_quit(panel: Running) -> None:
    assert post(panel, "record").json()["text"].startswith("recording to")
    assert panel.client.get("/api/status").json()["recording"].endswith("show.mkv")
    assert post(panel, "record", record=False).json()["text"].startswith("recorded")
    assert set(post(panel, "snapshot").json()["details"]) == {"plain", "styled"}
    assert post(panel, "reload").json()["details"] == {"changed": []}
    post(panel, "strength", strength=0.1)
    assert post(panel, "undo").status_code == 200
    until_status(panel, "strength", 0.8)
    assert post(panel, "quit").json()["text"] == "ending"
    assert panel.api.has_quit


def test_any_command_by_its_word(panel: Running) -> None:
    answer = panel.client.post("/api/command", json={"command": "preset", "name": "plain"})
    assert answer.json()["text"] == "preset plain"
    answer = panel.client.post("/api/command", json={"command": "status"})
    assert answer.json()["details"]["preset"] == "plain"


WRONG = [
    ("preset", b'{"name": "inc"}', 404, "there is no preset “inc”"),
    ("preset", b'{"name": 3}', 400, "preset: name"),
    ("preset", b"{}", 400, "preset: name"),
    ("preset", b'{"name": "ink", "speed": 2}', 400, "preset has no argument “speed”"),
    ("preset", b'{"name": "ink", "command": "quit"}', 400, "no argument “command”"),
    ("strength", b'{"strength": 3}', 400, "strength 3 is out of range"),
    ("strength", b'{"strength": NaN}', 400, "is no number"),
    ("strength", b"{strength: 3", 400, "no JSON"),
    ("strength", b"[0.5]", 400, "no JSON object"),
    ("strength", b"\xff\xfe", 400, "no JSON"),
    ("strength", b"[" * 20_000, 400, "no JSON"),
    ("mix", b'{"styles": {"sad": 1}}', 400, "there is no style “sad”"),
    ("source", b'{"source": "moon"}', 400, "“moon” is no source"),
    ("record", b'{"record": false}', 400, "nothing is being recorded"),
    ("command", b"{}", 400, "names no command"),
    ("command", b'{"command": "fly"}', 400, "there is no command “fly”"),
]


def test_what_cannot_be_done_says_why(panel: Running) -> None:
    before = panel.client.get("/api/status").json()
    for word, body, status, message in WRONG:
        answer = panel.client.post(f"/api/{word}", content=body)
        assert answer.status_code == status, answer.text
        assert message in error_of(answer)["message"]
        assert panel.client.get("/api/status").json() == before


def test_preset_that_cannot_be_loaded(panel: Running) -> None:
    panel.api.broken.add("plain")
    answer = post(panel, "preset", name="plain")
    assert answer.status_code == 409
    assert error_of(answer) == {"message": "model is gone", "remedy": "fetch it"}


def test_a_large_body_is_refused(panel: Running) -> None:
    def pieces() -> Any:
        for _ in range(20):
            yield b" " * 10_000

    assert panel.client.post("/api/next", content=b" " * 70_000).status_code == 413
    # Nor where it does not say how large it is.
    assert panel.client.post("/api/next", content=pieces()).status_code == 400
    assert panel.api.on_air.preset == "ink"


def test_a_body_that_does_not_arrive(panel: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "REQUEST_SECONDS", 0.3)
    host, port = panel.url.removeprefix("http://").split(":")
    head = f"POST /api/next HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 50\r\n\r\n{{"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(2000)
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b"did not arrive whole" in answer


def test_the_wrong_method_and_the_wrong_address(panel: Running) -> None:
    assert "does nothing here" in error_of(panel.client.get("/api/next"))["message"]
    assert panel.client.get("/api/next").status_code == 405
    answer = panel.client.get("/api/nothing")
    assert (answer.status_code, error_of(answer)["message"]) == (
        404,
        "there is nothing at /api/nothing",
    )


def test_a_slow_command_holds_up_no_other(panel: Running) -> None:
    panel.api.mute.add("plain")
    post(panel, "strength", strength=0.5)
    slow = threading.Thread(target=post, args=(panel, "preset"), kwargs={"name": "plain"})
    slow.start()
    for number in range(20):
        assert post(panel, "strength", strength=number / 20).status_code == 200
    assert slow.is_alive()
    # The one that waits is answered when a newer one overtakes it.
    assert post(panel, "preset", name="great-wave").status_code == 200
    slow.join(10)
    assert not slow.is_alive()


# Addresses to open -----------------------------------------------------------------------------


def test_an_address_does_nothing_without_the_token(panel: Running) -> None:
    for address in ("/do/next", "/do/next?token=", "/do/next?token=wrong"):
        assert httpx.get(panel.url + address).status_code == 401
    # Nor with the cookie: a page of another local server could open it.
    with httpx.Client(base_url=panel.url) as browser:
        assert browser.get(panel.address).status_code == 303
        assert browser.get("/api/access").json() == {"known": True}
        answer = browser.get("/do/next")
        assert answer.status_code == 401
        assert "needs the token" in error_of(answer)["message"]
    assert panel.api.on_air.preset == "ink"


ADDRESSES = [
    ("/do/preset/great-wave", "preset", "great-wave"),
    ("/do/strength/0.3", "strength", 0.3),
    ("/do/strength/-0.3", "strength", 0.5),
    ("/do/bypass/on", "bypass", True),
    ("/do/mix/wild=1", "styles", {"calm": 0.0, "wild": 1.0}),
    ("/do/source/camera:Logi%20%2F%20BRIO", "source", "camera:Logi / BRIO"),
]


def test_an_address_with_the_token_does_it(panel: Running) -> None:
    for address, key, value in ADDRESSES:
        post(panel, "preset", name="ink")
        answer = panel.client.get(f"{address}?token={TOKEN}")
        assert answer.status_code == 200, answer.text
        until_status(panel, key, value)


# What needs the token on this machine, too ------------------------------------------------------


FREE = [
    ("GET", "/", None),
    ("GET", "/panel/panel.js", None),
    ("GET", "/openapi.json", None),
    ("GET", "/api/status", None),
    ("GET", "/api/presets", None),
    ("GET", "/api/presets/ink/thumbnail.jpg", None),
    ("GET", "/api/hotkeys", None),
    ("POST", "/api/preset", {"name": "great-wave"}),
    ("POST", "/api/command", {"command": "next"}),
    ("POST", "/api/command", {"command": "strength", "strength": 0.5}),
    ("POST", "/api/freeze", {}),
    ("POST", "/api/mix", {"styles": {"wild": 1}}),
]

NEED_THE_TOKEN = [
    ("POST", "/api/source", {"source": "screen:1"}),
    ("POST", "/api/source", {"source": "file:/etc/passwd"}),
    ("POST", "/api/source", {"source": "generator:/any/path.onnx"}),
    ("POST", "/api/command", {"command": "source", "source": "generator:/any/path.onnx"}),
    ("POST", "/api/bypass", {}),
    ("POST", "/api/record", {}),
    ("POST", "/api/command", {"command": "record"}),
    ("POST", "/api/snapshot", {}),
    ("POST", "/api/command", {"command": "snapshot"}),
    ("POST", "/api/quit", {}),
    ("POST", "/api/command", {"command": "quit"}),
    ("GET", "/api/sources", None),
    ("GET", "/api/recordings", None),
    ("GET", "/api/snapshots/a.png", None),
    ("GET", "/api/obs", None),
    ("POST", "/api/obs/scene-map", {"scene_map": {}}),
    ("POST", "/api/obs/scene-map/undo", {}),
    ("POST", "/api/panel-code", {}),
    ("GET", "/preview.mjpg?view=raw", None),
    ("HEAD", "/preview.mjpg", None),
    ("GET", "/stream.mjpg", None),
    ("GET", "/do/next", None),
    ("POST", "/api/learn", {"picture": "/etc/passwd"}),
    ("POST", "/api/learn-picture?name=a", {}),
    ("POST", "/api/learn-keyframe", {"frame": "/a.png", "painted": "/b.png"}),
    ("POST", "/api/learn-forget", {}),
    ("POST", "/api/styles", {}),
    ("GET", "/api/learning/thumbnail.jpg", None),
    ("GET", "/nothing", None),
]


def test_programs_of_this_machine_may_switch_presets(panel: Running, folder: Path) -> None:
    (folder / "ink.jpg").write_bytes(b"\xff\xd8 its own picture")
    for method, path, body in FREE:
        answer = httpx.request(method, panel.url + path, json=body, timeout=20)
        assert answer.status_code == 200, answer.text


def test_whatever_shows_or_changes_a_source_needs_the_token(panel: Running) -> None:
    for method, path, body in NEED_THE_TOKEN:
        answer = httpx.request(method, panel.url + path, json=body, timeout=20)
        assert answer.status_code == 401, path
        if method != "HEAD":
            error = error_of(answer)
            assert "token" in error["message"] + error["remedy"], path
    assert panel.api.on_air.source == "pattern"
    assert not panel.api.has_quit
    assert post(panel, "source", source="file:/srv/clip.mp4").status_code == 200


def test_every_route_was_thought_of(panel: Running) -> None:
    """A route that is added needs the token until somebody says otherwise."""
    paths = panel.client.get("/openapi.json").json()["paths"]
    free = {path for path in paths for method in ("GET", "POST") if is_free(method, path)}
    words = ("command", "crossfade", "freeze", "mix", "next", "preset", "previous")
    words += ("coherence", "reload", "strength", "strength-step", "undo", "warm")
    wanted = {f"/api/{word}" for word in (*words, "access", "hotkeys", "presets", "status")}
    assert free == wanted | {"/api/presets/{name}/thumbnail.jpg"}


def test_a_live_thumbnail_is_a_picture_of_the_camera(panel: Running, folder: Path) -> None:
    own = b"\xff\xd8 its own picture"
    (folder / "ink.jpg").write_bytes(own)
    address = "/api/presets/ink/thumbnail.jpg"
    eventually(lambda: panel.client.get(address).content not in (own, b""))
    assert httpx.get(panel.url + address).content == own


# What it says of itself ------------------------------------------------------------------------


def test_every_command_and_every_page_is_described(panel: Running) -> None:
    schema = panel.client.get("/openapi.json").json()
    paths = schema["paths"]
    for word, meaning in WORDS.items():
        if word == "status":
            assert "get" in paths["/api/status"]
            continue
        operation = paths[f"/api/{word}"]["post"]
        assert operation["summary"]
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        fields = set(meaning.command.__dataclass_fields__)
        assert set(body.get("properties", {})) == fields
        assert body["additionalProperties"] is False
    of_all = paths["/api/command"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert [choice["title"] for choice in of_all["oneOf"]] == list(WORDS)
    for address in (
        "/api/presets",
        "/api/presets/{name}/thumbnail.jpg",
        "/api/sources",
        "/api/hotkeys",
        "/api/obs",
        "/api/obs/scene-map",
        "/api/recordings/{name}",
        "/api/snapshots",
        "/do/{words}",
        "/stream.mjpg",
        "/preview.mjpg",
    ):
        assert address in paths, address
    assert "/api/events" in schema["info"]["description"]


def test_a_source_whose_name_is_no_utf_8(panel: Running) -> None:
    source = "file:caf\udce9.mp4"
    body = json.dumps({"source": source})
    headers = {"content-type": JSON, "authorization": f"Bearer {TOKEN}"}
    answer = panel.client.post("/api/source", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    until_status(panel, "source", source)
    assert panel.client.get("/api/status").json()["source"] == source


def test_a_picture_is_sent_to_be_learnt_and_is_bounded(
    panel: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, bytes]] = []

    class Learning:
        def learn(self, picture: str, name: str, seconds: float) -> str:
            sent.append((f"{name} {seconds:g}", Path(picture).read_bytes()))
            return name

    monkeypatch.setattr(panel.api.controller, "_learning", Learning())
    address = "/api/learn-picture?name=mine&seconds=30"
    large = b"\x89PNG" + b"0" * 200_000
    done = panel.client.post(address, content=large)
    assert done.json() == {"text": "learning mine", "details": {"style": "mine"}}
    assert sent == [("mine 30", large)]

    assert panel.client.post(address, content=b"").json()["error"]["message"]
    too_large = panel.client.post(address, content=b"0" * 20_000_001)
    assert too_large.status_code == 413
    assert panel.client.post("/api/learn", content=large).status_code == 413
    assert panel.client.get("/api/learning/thumbnail.jpg").status_code == 404

    panel.api.controller.tell(events.StyleLearning({"name": "mine", "state": "learning"}))
    eventually(lambda: panel.api.on_air.learning.get("state") == "learning")
    refused = panel.client.post(address, content=b"another")
    assert "the style mine is being learnt" in refused.json()["error"]["message"]
    assert len(sent) == 1


def test_a_style_pack_that_is_sent_is_checked(panel: Running) -> None:
    refused = panel.client.post("/api/styles", content=b"PK\x03\x04 no pack")
    assert refused.status_code == 409
    assert "no style pack" in refused.json()["error"]["message"]
    too_large = panel.client.post("/api/styles", content=b" " * 50_000)
    assert "too large" in too_large.json()["error"]["message"]
