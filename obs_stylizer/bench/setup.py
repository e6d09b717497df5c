"""What the rows share: a model, presets made for the purpose, and a daemon that was warmed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from obs_stylizer.daemon.app import Daemon
from obs_stylizer.daemon.options import DaemonOptions
from obs_stylizer.errors import StylizerError, WorkerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.generator import Generator, open_generator
from obs_stylizer.inference.locate import variant_of
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.sinks.spec import SinkKind, SinkSpec
from obs_stylizer.sources.spec import SourceKind, SourceSpec
from obs_stylizer.yaml_text import write_yaml

START_SECONDS: Final = 60.0
WARM_UP_SECONDS: Final = 3.0
LOADED: Final = 8


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime and number format to measure."""

    title: str
    options: SessionOptions


def runtimes(threads: int) -> list[Runtime]:
    """Those that the rows compare."""

    def options(provider: Provider, precision: Precision) -> SessionOptions:
        return SessionOptions(provider=provider, precision=precision, threads=threads)

    return [
        Runtime("OpenVINO bf16", options(Provider.OPENVINO, Precision.BF16)),
        Runtime("OpenVINO int8", options(Provider.OPENVINO, Precision.INT8)),
        Runtime("ONNX Runtime f32", options(Provider.CPU, Precision.F32)),
    ]


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured with.

    Attributes:
        model: the native generator.
        size: of the pictures in and out.
        process_size: at which the generator works.
        seconds: that each row measures, after its warm-up.
        folder: scratch space.
        session: the runtime of the rows that take one.
    """

    model: Path
    size: FrameSize
    process_size: FrameSize
    seconds: float
    folder: Path
    session: SessionOptions

    def library(self) -> PresetLibrary:
        """Eight presets, each with a generator file of its own, so that nothing is shared."""
        presets = self.folder / "presets"
        if not presets.exists():
            presets.mkdir()
            int8 = variant_of(self.model, Precision.INT8)
            for number in range(LOADED):
                shutil.copy(self.model, presets / f"model{number}.onnx")
                if int8 is not None:
                    shutil.copy(int8, presets / f"model{number}.int8.onnx")
                document = {
                    "title": f"Bench {number}",
                    "model": f"./model{number}.onnx",
                    "process_size": str(self.process_size),
                    # Another strength makes the switched picture another one.
                    "after": {"brightness": 0.02 * number},
                    "crossfade_ms": 0,
                }
                (presets / f"bench{number}.yaml").write_text(write_yaml(document), "utf-8")
            (presets / "plain.yaml").write_text("title: Plain\n", "utf-8")
        return PresetLibrary([presets])

    def generator(self, session: SessionOptions) -> Generator:
        """The generator itself, for the loops to compare with."""
        return open_generator(self.model, self.process_size, session)

    def options(self) -> DaemonOptions:
        """A daemon with the test pattern and no sink to speak of; rows replace the rest."""
        return DaemonOptions(
            source=SourceSpec(SourceKind.PATTERN),
            sinks=(SinkSpec(SinkKind.NULL),),
            preset="bench0",
            size=self.size,
            fps=60.0,
            session=self.session,
            preload=False,
        )

    @contextmanager
    def on_air(self, options: DaemonOptions) -> Iterator[Daemon]:
        """A daemon whose styled frames flow, its statistics freshly reset."""
        with Daemon(options, self.library()) as daemon:
            wait_for(daemon, lambda: daemon.mailbox.counters().styled > 0)
            time.sleep(WARM_UP_SECONDS)
            daemon.reset_statistics()
            yield daemon

    def with_session(self, session: SessionOptions) -> Bench:
        """The same with another runtime."""
        return replace(self, session=session)


def wait_for(daemon: Daemon, condition: object, timeout: float = START_SECONDS) -> None:
    """Wait until ``condition()`` holds.

    Raises:
        WorkerError: it did not within ``timeout`` seconds; StylizerError: the daemon ended.
    """
    if not callable(condition):
        raise TypeError("a condition is a function")
    end = time.perf_counter() + timeout
    while not condition():
        if daemon.wait(0.02):
            raise StylizerError("the daemon ended while it was measured")
        if time.perf_counter() > end:
            raise WorkerError(
                f"nothing styled within {timeout:.0f} s: {daemon.controller.on_air.trouble}"
            )
