"""What is kept between starts: timings of the probe, and compiled programs.

All of it may be deleted at any time. Nothing here raises: a cache that cannot be read or written
only costs time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import platformdirs

log = logging.getLogger(__name__)

_MAX_TIMINGS: Final = 64
_MAX_AGE_DAYS: Final = 30
_MAX_COMPILED_BYTES: Final = 512 << 20


def cache_folder() -> Path:
    """Where the caches are."""
    return platformdirs.user_cache_path("obs-stylizer", appauthor=False)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a timed probe found.

    Attributes:
        winner: the candidate to take, as its label.
        milliseconds: best time of each candidate for a frame, by label.
        measured_at: seconds since 1970.
    """

    winner: str
    milliseconds: dict[str, float]
    measured_at: float


def probe_key(facts: Mapping[str, object]) -> str:
    """Return a key that changes when any of the facts does that a timing depends on."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def recall_probe(key: str) -> ProbeResult | None:
    """Return the result kept under ``key``, unless it is older than a month."""
    entry: Any = _read_probes().get(key)
    try:
        result = ProbeResult(
            str(entry["winner"]),
            {str(label): float(value) for label, value in entry["milliseconds"].items()},
            float(entry["measured_at"]),
        )
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
    age_days = (time.time() - result.measured_at) / 86_400
    return result if 0 <= age_days <= _MAX_AGE_DAYS else None


def remember_probe(key: str, result: ProbeResult) -> None:
    """Keep ``result``; the oldest go when there are more than 64."""
    probes = _read_probes()
    probes[key] = asdict(result)
    newest = sorted(probes.items(), key=lambda item: _age(item[1]))[-_MAX_TIMINGS:]
    path = _probe_file()
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(dict(newest), indent=1), "utf-8")
        temporary.replace(path)
    except OSError as error:
        log.debug("the probe's result cannot be kept: %s", error)


def _age(entry: object) -> float:
    value = entry.get("measured_at") if isinstance(entry, dict) else None
    return float(value) if isinstance(value, int | float) else 0.0


def _probe_file() -> Path:
    return cache_folder() / "probes.json"


def _read_probes() -> dict[str, Any]:
    try:
        probes = json.loads(_probe_file().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return probes if isinstance(probes, dict) else {}


def compiled_folder(runtime: str) -> Path | None:
    """Return the folder for what ``runtime`` compiles, made and pruned to half a gigabyte.

    None if it cannot be made.
    """
    folder = cache_folder() / "compiled" / runtime
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _prune(folder, _MAX_COMPILED_BYTES)
    except OSError as error:
        log.debug("compiled programs cannot be kept: %s", error)
        return None
    return folder


def _prune(folder: Path, limit: int) -> None:
    """Delete the files unused for longest until the rest take at most ``limit`` bytes."""
    files = [(path, path.stat()) for path in folder.rglob("*") if path.is_file()]
    total = sum(stat.st_size for _, stat in files)
    for path, stat in sorted(files, key=lambda item: max(item[1].st_mtime, item[1].st_atime)):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= stat.st_size
