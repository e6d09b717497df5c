"""Whether something must be set up before a command can run; where it must, it is."""

from __future__ import annotations

from collections.abc import Sequence

from environment import Environment, Stamp, stamp_for
from progress import SetupError, say


def reason_to_install(stamp: Stamp | None, wanted: Stamp, base_runtimes: frozenset[str]) -> str:
    """Why something must be installed; empty if everything wanted is there."""
    if stamp is None:
        return "it is not set up yet"
    if stamp.python != wanted.python:
        return "Python is another one now"
    if stamp.pyproject != wanted.pyproject:
        return "pyproject.toml has changed"
    if stamp.nvidia != wanted.nvidia:
        return "the NVIDIA GPU or its driver has changed"
    missing = [extra for extra in wanted.extras if extra not in stamp.extras]
    if missing:
        return f"what is needed for {' and '.join(missing)} is missing"
    if stamp.runtime and base_runtimes != {stamp.runtime}:
        return (
            f"ONNX Runtime is not the one installed ({', '.join(sorted(base_runtimes)) or 'none'})"
        )
    return ""


def _reason(environment: Environment, extras: Sequence[str]) -> str:
    if not environment.folder.exists():
        return "it is not set up yet"
    fault = environment.fault()
    if fault:
        return f".venv cannot be used: {fault}"
    stamp = environment.read_stamp()
    wanted = stamp_for(environment, extras, stamp.runtime if stamp else "")
    return reason_to_install(stamp, wanted, environment.base_runtimes())


def ensure(environment: Environment, extras: Sequence[str]) -> None:
    """Sets up what is missing. Where nothing is, this costs a few milliseconds."""
    if not _reason(environment, extras):
        return
    # Not at the top: an ordinary start never gets here and need not load them.
    import installation
    import lock

    try:
        with lock.held(environment.lock_file, say) as descriptor:
            # Whoever held the lock before may have done the work.
            reason = _reason(environment, extras)
            if reason:
                say(f"Setting up obs-stylizer: {reason}.")
                installation.install(environment, extras, descriptor)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise SetupError(f"{error.strerror or error}{where}") from error
