"""Ends several things side by side, none later than a deadline."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)


def end_together(parts: Mapping[str, Callable[[], object]], seconds: float) -> list[str]:
    """Call each of ``parts`` on a thread of its own, and wait for all of them.

    Args:
        parts: what ends a part, by the part's name.
        seconds: after which what has not ended is left to itself; it ends with the process.

    Returns:
        The names of those that did not end in time.
    """
    deadline = time.monotonic() + seconds

    def end(name: str, part: Callable[[], object]) -> None:
        try:
            part()
        except Exception:
            log.exception("%s does not end as it should", name)

    threads = {
        name: threading.Thread(target=end, args=(name, part), name=f"end {name}", daemon=True)
        for name, part in parts.items()
    }
    for thread in threads.values():
        thread.start()
    late = []
    for name, thread in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            log.warning("%s has not ended within %.1f s and is left behind", name, seconds)
            late.append(name)
    return late
