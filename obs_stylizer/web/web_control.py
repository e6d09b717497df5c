"""Control over the web: keeps panel and API at their address while the daemon lives."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from obs_stylizer.control.api import ControlApi, ControlSurfaceFactory
from obs_stylizer.control.event_bus import ControlEvent, EventKind
from obs_stylizer.errors import StylizerError
from obs_stylizer.settings import RecordingSettings
from obs_stylizer.web.event_feed import EventFeed
from obs_stylizer.web.preview import Preview
from obs_stylizer.web.shared_server import SharedServer
from obs_stylizer.web.thumbnails import Thumbnails

if TYPE_CHECKING:
    from obs_stylizer.web.obs_routes import SceneMapApi

log = logging.getLogger(__name__)

THUMBNAILS: Final = "thumbnails"
"""Kind of the message that tells of new thumbnails; only listeners over HTTP hear it."""

_AGAIN_SECONDS: Final = 5.0


def web_control(
    server: SharedServer,
    recording: RecordingSettings,
    hotkeys: Mapping[str, str],
    obs: SceneMapApi | None = None,
) -> ControlSurfaceFactory:
    """Return what makes the control surface.

    Args:
        server: of the stream, too.
        recording: the folders of recordings and snapshots.
        hotkeys: key combination of each command, as in the settings.
        obs: whoever talks to OBS; None where nobody does.
    """

    def make(api: ControlApi) -> WebControl:
        return WebControl(api, server, recording, hotkeys, obs)

    return make


class WebControl:
    """See :class:`obs_stylizer.control.api.ControlSurface`."""

    def __init__(
        self,
        api: ControlApi,
        server: SharedServer,
        recording: RecordingSettings,
        hotkeys: Mapping[str, str],
        obs: SceneMapApi | None = None,
    ) -> None:
        self._api = api
        self._server = server
        self._recording = recording
        self._hotkeys = hotkeys
        self._obs = obs
        self._event_feed = EventFeed(api)
        self._preview = Preview(api)
        self._thumbnails = Thumbnails(api, self._tell_thumbnails)
        self._stopping = threading.Event()
        self._again_seconds = _AGAIN_SECONDS
        self._thread = threading.Thread(target=self._run, name="panel", daemon=True)

    def start(self) -> None:
        """Begin to serve; where the port is taken, as soon as it is free."""
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and the port; a second call does nothing."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._serve()
        except Exception:
            log.exception("the panel does not work")

    def _serve(self) -> None:
        # FastAPI takes a while to load, which the camera need not wait for.
        from obs_stylizer.web.app import Parts, build_app

        unsubscribe = self._api.subscribe(self._watch)
        try:
            self._event_feed.start()
            self._preview.start()
            self._thumbnails.start()
            parts = Parts(
                api=self._api,
                hub=self._server.hub,
                event_feed=self._event_feed,
                preview=self._preview,
                thumbnails=self._thumbnails,
                recording=self._recording,
                hotkeys=self._hotkeys,
                obs=self._obs,
            )
            app = build_app(parts)
            if not self._acquire():
                return
            try:
                self._server.show(app)
                self._stopping.wait()
            finally:
                self._event_feed.stop()
                self._preview.stop()
                self._server.show(None)
                self._server.release()
        finally:
            unsubscribe()
            self._event_feed.stop()
            self._preview.stop()
            self._thumbnails.stop()

    def _acquire(self) -> bool:
        """Wait for the port; return False if the daemon ended before it was free."""
        warned = False
        while not self._stopping.is_set():
            try:
                self._server.acquire()
            except StylizerError as error:
                if not warned:
                    log.warning("no panel for now: %s; the camera goes on without", error)
                warned = True
                self._stopping.wait(self._again_seconds)
                continue
            log.info("panel: %s (or: obs-stylizer panel)", self._server.with_token("/"))
            return True
        return False

    def _watch(self, control_event: ControlEvent) -> None:
        if control_event.kind is EventKind.PRESETS_CHANGED or (
            control_event.kind is EventKind.STATE
            and "source" in control_event.details.get("changed", ())
        ):
            self._thumbnails.renew()

    def _tell_thumbnails(self, names: list[str]) -> None:
        self._event_feed.tell(THUMBNAILS, "", {"names": names})
