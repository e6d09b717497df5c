"""The scene map over HTTP: shown, saved, taken back."""

from __future__ import annotations

from tests.web.conftest import Running


def test_shown_saved_and_taken_back(panel: Running) -> None:
    shown = panel.client.get("/api/obs").json()
    assert (shown["enabled"], shown["scenes"], shown["can_undo"]) == (
        True,
        ["Talk", "Pause"],
        False,
    )
    assert shown["state"]["program"] == "Talk"
    changed = {"scene_map": {"Pause": {"preset": "plain"}}, "default": {"preset": "ink"}}
    answer = panel.client.post("/api/obs/scene-map", json=changed)
    assert answer.json()["scene_map"] == changed["scene_map"]
    assert answer.json()["can_undo"] is True
    assert panel.obs.saved == changed
    back = panel.client.post("/api/obs/scene-map/undo").json()
    assert back["scene_map"] == {"Talk": {"preset": "ink"}}
    assert back["can_undo"] is False
    answer = panel.client.post("/api/obs/scene-map/undo")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "there is no saved scene map to take back"


def test_what_is_no_map(panel: Running) -> None:
    for body in (b"", b"[]", b'{"scene_map": 3}', b"{"):
        assert panel.client.post("/api/obs/scene-map", content=body).status_code == 400
    panel.obs.refuses = True
    answer = panel.client.post("/api/obs/scene-map", json={"scene_map": {}})
    assert answer.status_code == 404
    assert answer.json()["error"] == {"message": "the disk is full", "remedy": "make room"}
    assert panel.client.get("/api/obs").json()["can_undo"] is False


def test_without_obs(panel: Running) -> None:
    panel.stop()
    panel.obs = None  # type: ignore[assignment]
    panel.start()
    shown = panel.client.get("/api/obs").json()
    assert shown == {
        "enabled": False,
        "state": {},
        "scenes": [],
        "scene_map": {},
        "default": {},
        "can_undo": False,
    }
    answer = panel.client.post("/api/obs/scene-map", json={"scene_map": {}})
    assert answer.status_code == 409
    assert "not in use" in answer.json()["error"]["message"]
