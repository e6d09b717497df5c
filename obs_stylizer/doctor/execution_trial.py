"""Run as a process: lists the execution providers, or runs the small generator on one of them.

python -m obs_stylizer.doctor.execution_trial list FOLDER
python -m obs_stylizer.doctor.execution_trial run FOLDER PROVIDER INDEX THREADS
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from obs_stylizer.doctor.children import tell
from obs_stylizer.doctor.trial_model import (
    SIZE,
    answer_by_definition,
    trial_frame,
    write_trial_model,
)
from obs_stylizer.errors import StylizerError
from obs_stylizer.inference.choose import open_session
from obs_stylizer.inference.native_model import load_native_model
from obs_stylizer.inference.providers import list_providers
from obs_stylizer.inference.session import Precision, Provider, SessionOptions

_WARM_UPS: Final = 2
_MIN_RUNS: Final = 5
_MAX_RUNS: Final = 30
_SECONDS: Final = 0.3


def prepare(folder: Path) -> dict[str, Any]:
    """Write the generator and what it must give, and list what there is to run it on."""
    path = write_trial_model(folder / "trial.onnx")
    np.save(folder / "defined.npy", answer_by_definition(path, trial_frame()))
    return {
        "providers": [
            {
                "provider": info.provider,
                "missing": info.missing,
                "remedy": info.remedy,
                "adapters": [
                    {"index": a.index, "name": a.name, "kind": a.kind} for a in info.adapters
                ],
            }
            for info in list_providers()
        ]
    }


def run(folder: Path, provider: Provider, index: int, threads: int) -> dict[str, Any]:
    """Run the generator on one adapter, time it, and compare what it gives.

    The CPU is compared with ONNX's own definition and leaves its answer for the others.
    """
    model = load_native_model(folder / "trial.onnx")
    # An 8-bit or half-precision answer would say nothing about the driver.
    options = SessionOptions(provider, str(index), Precision.AUTO, threads)
    started = time.perf_counter()
    session = open_session(model, SIZE, options)
    frame = trial_frame()
    try:
        answer = session.run(frame).copy()
        opened = time.perf_counter() - started
        times = _time(session, frame)
        last = session.run(frame).copy()
        runs_on = session.runs_on
    finally:
        session.close()
    if provider is Provider.CPU:
        np.save(folder / "cpu.npy", answer)
    by_cpu = folder / "cpu.npy"
    compare_with_cpu = provider is not Provider.CPU and by_cpu.exists()
    wanted = np.load(by_cpu if compare_with_cpu else folder / "defined.npy")
    apart = np.abs(wanted.astype(np.int16) - answer)
    return {
        "precision": runs_on.precision,
        "compared_with": "the CPU" if compare_with_cpu else "ONNX's definition",
        "milliseconds": statistics.median(times) * 1000,
        "opened_seconds": opened,
        "most_apart": int(apart.max()),
        "mean_apart": float(apart.mean()),
        # A frozen buffer or a race shows as another answer to the same frame.
        "steady": bool(np.array_equal(answer, last)),
    }


def _time(session: Any, frame: Any) -> list[float]:
    for _ in range(_WARM_UPS):
        session.run(frame)
    times: list[float] = []
    until = time.perf_counter() + _SECONDS
    while len(times) < _MIN_RUNS or (len(times) < _MAX_RUNS and time.perf_counter() < until):
        before = time.perf_counter()
        session.run(frame)
        times.append(time.perf_counter() - before)
    return times


def main(arguments: list[str]) -> None:
    """Answer in JSON; an error on purpose is an answer too."""
    action, folder, *rest = arguments
    try:
        if action == "list":
            tell(prepare(Path(folder)))
        else:
            provider, index, threads = rest
            tell(run(Path(folder), Provider(provider), int(index), int(threads)))
    except StylizerError as error:
        tell({"error": error.message, "remedy": error.remedy})


if __name__ == "__main__":
    main(sys.argv[1:])
