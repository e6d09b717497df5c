"""Lists of virtual cameras never raise, on no platform."""

from __future__ import annotations

import pytest

from obs_stylizer.errors import SinkLostError
from obs_stylizer.frames import FrameSize
from obs_stylizer.sinks.base import SinkFormat
from obs_stylizer.sinks.listing import list_virtual_cameras, missing_remedy
from obs_stylizer.sinks.virtual_camera import VirtualCameraSink


@pytest.mark.parametrize(
    ("platform", "words"),
    [("linux", "modprobe v4l2loopback"), ("win32", "Unity Capture"), ("darwin", "OBS 30")],
)
def test_the_remedy_is_that_of_the_platform(
    monkeypatch: pytest.MonkeyPatch, platform: str, words: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    assert words in missing_remedy()


def test_on_a_mac_there_is_that_of_obs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    (camera,) = list_virtual_cameras()
    assert (camera.device, camera.backend) == ("OBS Virtual Camera", "obs")


def test_a_registry_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setitem(__import__("sys").modules, "winreg", None)
    cameras = list_virtual_cameras()
    assert cameras == []
    assert "cannot be listed" in cameras.reason


def test_a_registry_with_both_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    class Registry:
        HKEY_CLASSES_ROOT = 0
        keys = {  # noqa: RUF012
            r"CLSID\{A3FCE0F5-3493-419F-958A-ABA1250EC20B}": "",
            r"CLSID\{5C2CD55C-92AD-4999-8666-912BD3E70010}": "Unity Video Capture",
            r"CLSID\{5C2CD55C-92AD-4999-8666-912BD3E70012}": "Second \n",
        }

        @classmethod
        def QueryValue(cls, _root: int, key: str) -> str:  # noqa: N802
            try:
                return cls.keys[key]
            except KeyError:
                raise FileNotFoundError(key) from None

    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setitem(__import__("sys").modules, "winreg", Registry)
    assert [(camera.device, camera.backend) for camera in list_virtual_cameras()] == [
        ("OBS Virtual Camera", "obs"),
        ("Unity Video Capture", "unitycapture"),
        ("Second", "unitycapture"),
    ]


def test_a_back_end_that_cannot_start_is_lost_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without OBS, its back end fails only when it is opened."""
    import pyvirtualcam

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("virtual camera output could not be started")

    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(pyvirtualcam, "Camera", fail)
    with pytest.raises(SinkLostError, match="could not be started") as caught:
        VirtualCameraSink().open(SinkFormat(FrameSize(64, 48), 30))
    assert "OBS" in caught.value.remedy
