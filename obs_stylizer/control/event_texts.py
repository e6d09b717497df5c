"""What people are told of events: over the event bus, and in the log."""

from __future__ import annotations

import logging

from obs_stylizer.control.event_bus import ControlEvent, EventKind
from obs_stylizer.errors import SourceRefusedError, SourceWaitingError
from obs_stylizer.realtime import events
from obs_stylizer.realtime.events import Event

log = logging.getLogger(__name__)


def control_event_of(event: Event) -> ControlEvent | None:
    """Return what people should hear of an event, beyond the state that it changed."""
    match event:
        case events.PresetFailed(_, name, error):
            details = {"preset": name, "message": error.message, "remedy": error.remedy}
            return ControlEvent(EventKind.PRESET_FAILED, f"preset {name}: {error}", details)
        case events.SourceLost(source, error):
            return ControlEvent(EventKind.SOURCE_LOST, str(error), {"source": str(source)})
        case events.SourceFailed(source, error):
            return ControlEvent(EventKind.SOURCE_FAILED, str(error), {"source": str(source)})
        case events.SourceEnded(source):
            return ControlEvent(
                EventKind.SOURCE_ENDED, f"{source} has ended", {"source": str(source)}
            )
        case events.WorkerLost(reason, pause):
            text = f"the worker is lost: {reason}"
            return ControlEvent(EventKind.WORKER_LOST, text, {"reason": reason, "pause": pause})
        case events.WorkerStarted(pid, restarts):
            return ControlEvent(EventKind.WORKER_STARTED, "", {"pid": pid, "restarts": restarts})
        case events.GpuGivenUp(failures, action):
            text = f"the GPU failed {failures} times in a row"
            return ControlEvent(EventKind.GPU_GIVEN_UP, text, {"action": action})
        case events.StyleLearning(progress) if progress["state"] == "learnt":
            return ControlEvent(
                EventKind.STYLE_LEARNT, f"learnt the style {progress['name']}", progress
            )
        case events.StyleLearning(progress) if progress["state"] == "failed":
            text = f"the style {progress['name']} was not learnt: {progress['trouble']}"
            return ControlEvent(EventKind.STYLE_LEARNT, text, progress)
        case events.RecordingEnded(path, reason):
            text = f"recorded {path}" + (f" ({reason})" if reason else "")
            details = {"path": str(path), "reason": reason}
            return ControlEvent(EventKind.RECORDING_ENDED, text, details)
    return None


def log_event(event: Event) -> None:
    """Log what happens to the source, and how learning a style ends."""
    if isinstance(event, events.SourceOpened):
        info = event.info
        rate = f" at {info.fps:g} fps" if info.fps else ""
        detail = f" ({info.detail})" if info.detail else ""
        log.info("source %s: %s, %s%s%s", event.source, info.name, info.frame_size, rate, detail)
    elif isinstance(event, events.SourceLost):
        remedy = f" ({event.error.remedy})" if event.error.remedy else ""
        if isinstance(event.error, SourceWaitingError | SourceRefusedError):
            log.warning("%s%s", event.error.message, remedy)
        else:
            log.warning("%s; trying again until it is there%s", event.error.message, remedy)
    elif isinstance(event, events.SourceFailed):
        log.warning("source %s: %s", event.source, event.error)
    elif isinstance(event, events.StyleLearning) and event.progress["state"] != "learning":
        told = control_event_of(event)
        log.info("%s", told.text if told else f"the style {event.progress['name']} is forgotten")
