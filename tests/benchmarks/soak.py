"""Runs the daemon for a long time while everything around it and in it goes wrong at random.

    .venv/bin/python tests/benchmarks/soak.py --seconds 3600

A virtual camera (the tests' fake device) is read from outside all the while. At the end it says
how many faults there were, what the camera showed of them, how quickly requests were answered, and
whether memory and descriptors stayed flat; the exit code is 1 if any promise was broken. A machine
that does other work stalls by itself, which the figures show too: run it alone, or ahead of all
others with ``chrt -r 5``. Where another real-time program keeps a core busy, Linux takes 50 ms of
each second from all of them for ordinary programs; a tick that falls into those is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402

from tests.benchmarks.soak_faults import FAULTS  # noqa: E402
from tests.benchmarks.soak_setup import Running, remove  # noqa: E402

LONGEST_GAP = 0.25
COUNTED_GAP = 0.1
LONGEST_ANSWER = 10.0
GROWTH_MB = 20.0
GROWTH_DESCRIPTORS = 12
_PAUSE = (0.3, 1.8)
_SAMPLE_SECONDS = 5.0
_SETTLE_SECONDS = 15.0


@dataclass
class Seen:
    """What was measured."""

    faults: list[tuple[float, str]] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    pids: set[int] = field(default_factory=set)
    memory: set[str] = field(default_factory=set)


def main() -> int:
    """Run it and say what was seen."""
    arguments = _arguments()
    # A shell that starts this in the background has it ignored, and so would the daemon.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    dice = random.Random(arguments.seed)
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"seed {arguments.seed}, in {folder}", flush=True)
    running = Running(folder)
    seen = Seen()
    began = time.monotonic()
    _throw(running, dice, seen, began + arguments.seconds)
    ended = time.monotonic()
    last_command = _settle(running)
    status = running.status()
    code = running.end(20.0)
    left = _left_behind(seen)
    figures, broken = _judge(running, seen, (began, ended), status, last_command, code, left)
    print(json.dumps(figures, indent=2))
    for promise in broken:
        print(f"BROKEN: {promise}")
    if broken or arguments.keep:
        print(f"the log is in {running.log}")
    else:
        remove(folder)
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", default="", help="names of faults, with commas between them")
    parser.add_argument("--keep", action="store_true", help="leave the home and the log")
    arguments = parser.parse_args()
    if arguments.only:
        names = arguments.only.split(",")
        for fault in list(FAULTS):
            if fault.__name__ not in names:
                del FAULTS[fault]
    return arguments


def _throw(running: Running, dice: random.Random, seen: Seen, until: float) -> None:
    next_sample = 0.0
    faults, weights = list(FAULTS), list(FAULTS.values())
    while time.monotonic() < until and running.process.poll() is None:
        fault = dice.choices(faults, weights)[0]
        seen.faults.append((time.monotonic(), fault.__name__))
        fault(running, dice)
        if time.monotonic() > next_sample:
            next_sample = time.monotonic() + _SAMPLE_SECONDS
            _sample(running, seen)
        time.sleep(dice.uniform(*_PAUSE))


def _sample(running: Running, seen: Seen) -> None:
    """Note memory and descriptors of the daemon's own process, and who its children are."""
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(running.process.pid)
        seen.megabytes.append(root.memory_info().rss / 1e6)
        seen.descriptors.append(root.num_fds())
    for member in running.members():
        with contextlib.suppress(psutil.Error):
            seen.pids.add(member.pid)
            maps = [entry.path for entry in member.memory_maps()]
            seen.memory.update(path for path in maps if path.startswith("/dev/shm/"))


def _settle(running: Running) -> bool:
    """Let what was begun come to its end; return whether the last command works."""
    running.clock.write_text("0")
    time.sleep(_SETTLE_SECONDS)
    running.requests.wait()
    running.requests.post("/api/source", {"source": "pattern"})
    code, _ = running.requests.post("/api/preset", {"name": "invert"})
    return code == 200 and running.status().get("preset") == "invert"


def _left_behind(seen: Seen) -> list[str]:
    time.sleep(3.0)
    left = [
        f"process {pid}"
        for pid in seen.pids
        if psutil.pid_exists(pid) and "soak-" in " ".join(_environment(pid))
    ]
    return left + [path for path in seen.memory if Path(path).exists()]


def _environment(pid: int) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return [f"{name}={value}" for name, value in psutil.Process(pid).environ().items()]
    return []


def _judge(
    running: Running,
    seen: Seen,
    span: tuple[float, float],
    status: dict[str, object],
    last_command: bool,
    code: int | None,
    left: list[str],
) -> tuple[dict[str, object], list[str]]:
    came_at = [at for at in running.camera.came_at if span[0] <= at <= span[1]]
    pauses = [(after - before, before) for before, after in itertools.pairwise(came_at)]
    gaps = sorted((pause for pause, _ in pauses), reverse=True)
    in_gaps = Counter(
        next((name for when, name in reversed(seen.faults) if when < at + pause), "nothing")
        for pause, at in pauses
        if pause > COUNTED_GAP
    )
    answers = running.requests
    workers = status.get("worker")
    restarts = int(workers.get("restarts", 0)) if isinstance(workers, dict) else 0
    megabytes, descriptors = _growth(seen.megabytes), _growth(list(map(float, seen.descriptors)))
    long_gaps = [gap for gap in gaps if gap > COUNTED_GAP]
    figures: dict[str, object] = {
        "seconds": round(span[1] - span[0], 1),
        "faults": len(seen.faults),
        "kinds": dict(Counter(name for _, name in seen.faults).most_common()),
        "frames": len(came_at),
        "fps": round(len(came_at) / (span[1] - span[0]), 3),
        "longest_gap_ms": round(1000 * gaps[0], 1) if gaps else None,
        "gaps_over_100_ms": len(long_gaps),
        "long_gaps": [
            f"{pause:.2f} s at {at - span[0]:.0f} s" for pause, at in sorted(pauses)[-5:]
        ],
        "longest_stall_of_the_machine_ms": round(1000 * max(running.stalls.seconds), 1),
        "stalls_over_100_ms": sum(stall > COUNTED_GAP for stall in running.stalls.seconds),
        "last_fault_before_them": dict(in_gaps.most_common()),
        "ticks_missed": status.get("missed_ticks"),
        "workers_lost": restarts,
        "requests": len(answers.seconds) + len(answers.unanswered),
        "answers": answers.codes,
        "longest_answer_s": round(max(answers.seconds, default=0.0), 2),
        "memory_growth_mb": round(megabytes, 1),
        "descriptor_growth": round(descriptors, 1),
        "set_aside": sorted(status.get("quarantined") or {}),  # type: ignore[call-overload]
        "exit_code": code,
    }
    promises = {
        f"a gap of {figures['longest_gap_ms']} ms": not gaps or gaps[0] <= LONGEST_GAP,
        "more long gaps than workers lost": len(long_gaps) <= restarts,
        f"{figures['ticks_missed']} ticks missed": figures["ticks_missed"] == 0,
        f"not answered: {answers.unanswered[:5]}": not answers.unanswered,
        "an answer took too long": max(answers.seconds, default=0.0) <= LONGEST_ANSWER,
        f"memory grew by {megabytes:.1f} MB": megabytes <= GROWTH_MB,
        f"descriptors grew by {descriptors:.1f}": descriptors <= GROWTH_DESCRIPTORS,
        "the last command does not work": last_command,
        f"exit code {code}": code == 0,
        f"left behind: {left}": not left,
    }
    return figures, [promise for promise, kept in promises.items() if not kept]


def _growth(samples: list[float]) -> float:
    """How much more the last quarter has than the second."""
    quarter = len(samples) // 4
    if quarter == 0:
        return 0.0
    return median(samples[-quarter:]) - median(samples[quarter : 2 * quarter])


if __name__ == "__main__":
    sys.exit(main())
