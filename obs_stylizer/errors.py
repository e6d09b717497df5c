"""Every error that obs-stylizer raises on purpose, in one tree.

    StylizerError
    ├── UsageError                 the command line asks for what cannot be
    ├── DocumentError              a YAML file of the user's is wrong (file, line, key)
    │   ├── SettingsError
    │   └── PresetError
    ├── SourceError                a camera, screen or file cannot give frames
    │   ├── SourceLostError        it was there and may come back: try again later
    │   │   ├── SourceWaitingError it waits for the user: try again at once
    │   │   └── SourceRefusedError the user said no: try again only when asked to
    │   └── SourceEndedError       it has no more frames, and that is all right
    ├── SinkError                  a virtual camera, stream or recording cannot take frames
    │   ├── SinkLostError          it may come back: try again later
    │   └── SinkEndedError         it stopped for good (a full disk); the others go on
    ├── ModelError                 an ONNX file is missing, broken or of the wrong shape
    ├── ProviderError              an execution provider cannot run here
    │   └── DeviceLostError        the GPU went away under a running session
    ├── WorkerError                the worker process failed
    ├── ObsError                   OBS cannot be reached, or refuses what it was asked
    ├── PortalError                the portal of a Linux desktop is not there, or refuses
    │   └── PortalCancelledError   the user said no in the desktop's own dialog
    ├── PipewireError              PipeWire is not there, or refuses
    ├── BusyError                  another daemon holds a port or a device
    └── TrainingError              a recipe, its data or a run cannot be used

Each carries a one-line ``message`` that names the thing, and where there is one a
``remedy`` that says what to do about it.
"""

from __future__ import annotations

from pathlib import Path


class StylizerError(Exception):
    """Root of the tree: catch this to catch everything raised on purpose."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.__dict__))


def _rebuild(kind: type[StylizerError], state: dict[str, object]) -> StylizerError:
    """Make an error again on the other side of a pipe, whatever its constructor takes."""
    error = kind.__new__(kind)
    error.__dict__.update(state)
    Exception.__init__(error, state.get("message", ""))
    return error


class UsageError(StylizerError):
    """The command line asks for something that does not exist or cannot be combined."""


class DocumentError(StylizerError):
    """A YAML file is unreadable or does not fit its schema.

    ``path``, ``line`` (from 1, or None) and ``key`` (dotted, or "") say where.
    """

    def __init__(
        self,
        message: str,
        remedy: str = "",
        *,
        path: Path | None = None,
        line: int | None = None,
        key: str = "",
    ) -> None:
        place = "" if path is None else str(path) + (f":{line}" if line else "")
        where = ": ".join(part for part in (place, key) if part)
        super().__init__(f"{where}: {message}" if where else message, remedy)
        self.path = path
        self.line = line
        self.key = key


class SettingsError(DocumentError):
    """``config.yaml`` is wrong."""


class PresetError(DocumentError):
    """A preset is wrong, or there is none of that name."""


class SourceError(StylizerError):
    """A source cannot be opened or read."""


class SourceLostError(SourceError):
    """The source may come back (an unplugged or busy camera): reopen it later."""


class SourceWaitingError(SourceLostError):
    """The source waits for an answer of the user's: open it again at once, it waits on."""


class SourceRefusedError(SourceLostError):
    """The user does not allow the source, or no longer: open it again only when asked to."""


class SourceEndedError(SourceError):
    """The source has given its last frame."""


class SinkError(StylizerError):
    """A sink cannot be opened or written."""


class SinkLostError(SinkError):
    """The sink may come back (a device that vanished): reopen it later."""


class SinkEndedError(SinkError):
    """The sink stopped for good (a full disk); what it wrote so far is kept."""


class ModelError(StylizerError):
    """A model file cannot be used as a generator."""


class ProviderError(StylizerError):
    """An execution provider is missing here or failed to start."""


class DeviceLostError(ProviderError):
    """The GPU was reset or removed while a session ran on it; the process must be replaced."""


class WorkerError(StylizerError):
    """The worker process could not be started or did not answer."""


class ObsError(StylizerError):
    """OBS cannot be reached, or refuses what it was asked.

    ``code`` is that of obs-websocket: of the refused request, or of the closed connection; 0
    where there is none.
    """

    def __init__(self, message: str, remedy: str = "", *, code: int = 0) -> None:
        super().__init__(message, remedy)
        self.code = code


class PortalError(StylizerError):
    """The portal of a Linux desktop is not there, or refuses what it was asked."""


class PortalCancelledError(PortalError):
    """The user said no in the desktop's own dialog."""


class PipewireError(StylizerError):
    """PipeWire, which carries pictures on a Linux desktop, is not there, or refuses."""


class BusyError(StylizerError):
    """Another running daemon holds the port or device asked for."""


class TrainingError(StylizerError):
    """A recipe, its data, or a run directory cannot be used."""
