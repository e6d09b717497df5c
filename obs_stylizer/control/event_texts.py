"""What people are told of events: over the event bus, and in the log."""

from __future__ import annotations

import logging

from obs_stylizer.control.event_bus import ControlEvent, EventKind
from obs_stylizer.errors import SourceRefusedError, SourceWaitingError
from obs_stylizer.realtime import messages
from obs_stylizer.realtime.messages import Event

log = logging.getLogger(__name__)


def control_event_of(event: Event) -> ControlEvent | None:
    """Return what people should hear of an event, beyond the state that it changed."""
    match event:
        case messages.PresetFailed(_, name, error):
            details = {"preset": name, "message": error.message, "remedy": error.remedy}
            return ControlEvent(EventKind.PRESET_FAILED, f"preset {name}: {error}", details)
        case messages.SourceLost(source, error):
            return ControlEvent(EventKind.SOURCE_LOST, str(error), {"source": str(source)})
        case messages.SourceFailed(source, error):
            return ControlEvent(EventKind.SOURCE_FAILED, str(error), {"source": str(source)})
        case messages.SourceEnded(source):
            return ControlEvent(
                EventKind.SOURCE_ENDED, f"{source} has ended", {"source": str(source)}
            )
        case messages.WorkerLost(reason, pause):
            text = f"the worker is lost: {reason}"
            return ControlEvent(EventKind.WORKER_LOST, text, {"reason": reason, "pause": pause})
        case messages.WorkerStarted(pid, restarts):
            return ControlEvent(EventKind.WORKER_STARTED, "", {"pid": pid, "restarts": restarts})
        case messages.GpuGivenUp(failures, action):
            text = f"the GPU failed {failures} times in a row"
            return ControlEvent(EventKind.GPU_GIVEN_UP, text, {"action": action})
        case messages.StyleLearning(progress) if progress["state"] == "learnt":
            return ControlEvent(
                EventKind.STYLE_LEARNT, f"learnt the style {progress['name']}", progress
            )
        case messages.StyleLearning(progress) if progress["state"] == "failed":
            text = f"the style {progress['name']} was not learnt: {progress['trouble']}"
            return ControlEvent(EventKind.STYLE_LEARNT, text, progress)
        case messages.RecordingEnded(path, reason):
            text = f"recorded {path}" + (f" ({reason})" if reason else "")
            details = {"path": str(path), "reason": reason}
            return ControlEvent(EventKind.RECORDING_ENDED, text, details)
    return None


def log_event(event: Event) -> None:
    """Log what happens to the source, and how learning a style ends."""
    if isinstance(event, messages.SourceOpened):
        info = event.info
        rate = f" at {info.fps:g} fps" if info.fps else ""
        detail = f" ({info.detail})" if info.detail else ""
        log.info("source %s: %s, %s%s%s", event.source, info.name, info.frame_size, rate, detail)
    elif isinstance(event, messages.SourceLost):
        remedy = f" ({event.error.remedy})" if event.error.remedy else ""
        if isinstance(event.error, SourceWaitingError | SourceRefusedError):
            log.warning("%s%s", event.error.message, remedy)
        else:
            log.warning("%s; trying again until it is there%s", event.error.message, remedy)
    elif isinstance(event, messages.SourceFailed):
        log.warning("source %s: %s", event.source, event.error)
    elif isinstance(event, messages.StyleLearning) and event.progress["state"] != "learning":
        told = control_event_of(event)
        log.info("%s", told.text if told else f"the style {event.progress['name']} is forgotten")
