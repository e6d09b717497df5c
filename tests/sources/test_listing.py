"""Lists of cameras never raise."""

from __future__ import annotations

import cv2
import cv2_enumerate_cameras
import pytest
from cv2_enumerate_cameras.camera_info import CameraInfo as Entry

from obs_stylizer import v4l2
from obs_stylizer.sources.listing import has_camera, list_cameras


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    found: list[Entry] = []
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(cv2_enumerate_cameras, "enumerate_cameras", lambda _backend: found)
    return found


def test_cameras_in_their_order_and_which_are_fed_by_programs(
    entries: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries.append(Entry(2, "Loopback", "/dev/video2", None, None, cv2.CAP_V4L2))
    entries.append(Entry(0, "Webcam", "/dev/video0", 1, 2, cv2.CAP_V4L2))

    def query(path: str) -> v4l2.Capability:
        driver = "uvcvideo" if path == "/dev/video0" else v4l2.LOOPBACK_DRIVER
        return v4l2.Capability(driver, "", can_capture=True, can_output=False)

    monkeypatch.setattr(v4l2, "query_path", query)
    cameras = list_cameras()
    assert [(camera.index, camera.name) for camera in cameras] == [(0, "Webcam"), (2, "Loopback")]
    assert [camera.is_virtual for camera in cameras] == [False, True]
    assert has_camera()


def test_a_loopback_alone_is_no_camera(
    entries: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries.append(Entry(2, "Loopback", "/dev/video2", None, None, cv2.CAP_V4L2))
    loopback = v4l2.Capability(v4l2.LOOPBACK_DRIVER, "", can_capture=True, can_output=False)
    monkeypatch.setattr(v4l2, "query_path", lambda _path: loopback)
    assert not has_camera()


def test_an_empty_list_says_why(entries: list[Entry]) -> None:
    cameras = list_cameras()
    assert cameras == []
    assert "no camera" in cameras.reason


def test_a_library_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_backend: int) -> list[Entry]:
        raise RuntimeError("the service does not run")

    monkeypatch.setattr(cv2_enumerate_cameras, "enumerate_cameras", fail)
    cameras = list_cameras()
    assert cameras == []
    assert "the service does not run" in cameras.reason


def test_on_windows_each_camera_is_opened_by_the_interface_that_listed_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lists = {
        cv2.CAP_DSHOW: [
            Entry(0, "OBS Virtual Camera", None, None, None, cv2.CAP_DSHOW),
            Entry(1, "Webcam", "usb", 1, 2, cv2.CAP_DSHOW),
        ],
        cv2.CAP_MSMF: [
            Entry(0, "Webcam", "usb", 1, 2, cv2.CAP_MSMF),
            Entry(1, "Infrared", "usb", 1, 3, cv2.CAP_MSMF),
        ],
    }
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr(cv2_enumerate_cameras, "enumerate_cameras", lists.__getitem__)
    cameras = list_cameras()
    assert [(camera.index, camera.name) for camera in cameras] == [
        (0, "OBS Virtual Camera"),
        (1, "Webcam"),
        (2, "Infrared"),
    ]
    assert [(camera.backend, camera.device) for camera in cameras] == [
        (cv2.CAP_DSHOW, 0),
        (cv2.CAP_DSHOW, 1),
        (cv2.CAP_MSMF, 1),
    ]
    assert [camera.is_virtual for camera in cameras] == [True, False, False]
