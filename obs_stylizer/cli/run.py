"""``obs-stylizer run``: go on air."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from types import FrameType

import typer

from obs_stylizer.cli.choices import Overrides, choose
from obs_stylizer.cli.console import start_logging
from obs_stylizer.cli.presets import open_library
from obs_stylizer.cli.terminal import Terminal
from obs_stylizer.daemon.launch import prepare_launching
from obs_stylizer.errors import UsageError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider
from obs_stylizer.realtime.statistics import Statistics
from obs_stylizer.settings import config_file, load_settings
from obs_stylizer.sinks.recording_codec import CodecName
from obs_stylizer.sinks.spec import FORMS as SINK_FORMS
from obs_stylizer.sinks.spec import SinkSpec
from obs_stylizer.sources.spec import FORMS as SOURCE_FORMS
from obs_stylizer.sources.spec import SourceSpec
from obs_stylizer.web.listener import raise_descriptor_limit

log = logging.getLogger(__name__)

_EXAMPLES = """Examples:

  obs-stylizer run

  obs-stylizer run --source file:clip.mp4 --sink http --preset great-wave

  obs-stylizer run --source screen:1 --sink virtual-camera --sink file:show.mkv
"""


def run(
    config: Path | None = typer.Option(None, help="Configuration file instead of your own."),
    source: str | None = typer.Option(None, help=f"Where frames come from: {SOURCE_FORMS}."),
    sink: list[str] | None = typer.Option(
        None, help=f"Where they go; may be given more than once: {SINK_FORMS}."
    ),
    preset: str | None = typer.Option(None, help="Style to start with; see: presets list."),
    strength: float | None = typer.Option(None, help="0 plain to 1 fully styled."),
    size: str | None = typer.Option(None, metavar="WxH", help="Size of the picture sent."),
    process_size: str | None = typer.Option(
        None, metavar="WxH", help="Size at which the generator works; smaller is quicker."
    ),
    fps: float | None = typer.Option(None, help="Frames a second; the source's own if left out."),
    provider: Provider | None = typer.Option(None, help="What runs the generator."),
    device: str | None = typer.Option(None, help="Which of several adapters, by name or index."),
    precision: Precision | None = typer.Option(None, help="Number format of the generator."),
    motion: bool | None = typer.Option(
        None, help="Follow the motion of the picture, or style each frame by itself."
    ),
    codec: CodecName | None = typer.Option(
        None, help="Of recordings; all but h264 keep a transparent background."
    ),
    frames: int | None = typer.Option(None, min=1, help="End after so many styled frames."),
    duration: float | None = typer.Option(None, min=0.1, help="End after so many seconds."),
    stats: Path | None = typer.Option(None, help="Write statistics (JSON) here every second."),
    log_level: str = typer.Option("info", help="debug, info, warning or error."),
) -> None:
    """Go on air: capture, stylize, and send to every sink, until Ctrl-C."""
    start_logging(log_level)
    if strength is not None and not 0 <= strength <= 1:
        raise UsageError(f"strength {strength:g} is out of range", "it goes from 0 to 1")
    overrides = Overrides(
        source=SourceSpec.parse(source) if source else None,
        sinks=tuple(SinkSpec.parse(text) for text in sink or ()),
        preset=preset,
        strength=strength,
        size=FrameSize.parse(size) if size else None,
        process_size=FrameSize.parse(process_size) if process_size else None,
        fps=fps,
        provider=provider,
        device=device,
        precision=precision,
        motion=motion,
        frames=frames,
        duration=duration,
        stats_file=stats,
        codec=codec,
    )
    if stats is not None and not stats.absolute().parent.is_dir():
        raise UsageError(f"--stats {stats}: there is no folder {stats.parent}", "make it first")
    with Terminal() as terminal:
        whole = _go_on_air(config, overrides, terminal)
    if not whole:
        # A driver that hangs would keep the process from ending, too.
        os._exit(0)


def _go_on_air(config: Path | None, overrides: Overrides, terminal: Terminal) -> bool:
    """Do it, once the options are known to be sound; return whether all of it has ended."""
    raise_descriptor_limit()
    # What the worker needs is loaded in its server process while the rest is decided here.
    prepare_launching()
    library = open_library()
    settings = load_settings(config)
    chosen = choose(settings, overrides, library)
    for line in chosen.reasons:
        log.info("%s", line)

    # Everything heavy is imported only now, so that a wrong option is answered at once.
    from obs_stylizer.daemon.app import Daemon
    from obs_stylizer.daemon.control_surfaces import control_surface_factories, open_server

    server = open_server(settings.web) if settings.web.enabled else None
    control_surfaces = control_surface_factories(settings, config or config_file(), server)
    daemon = Daemon(
        chosen.options,
        library,
        on_second=lambda statistics: terminal.show_status(status_text(statistics)),
        control_surfaces=control_surfaces,
        server=server,
    )

    asked: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        asked.append(number)
        if asked.count(signal.SIGINT) > 1:
            # Whoever presses Ctrl-C again does not want to wait. The processes that we started
            # notice that we are gone.
            _show_cursor()
            os._exit(128 + number)
        daemon.quit()

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        # What was ignored when we were started stays so: that is how nohup works.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)
    with daemon:
        for report in daemon.statistics().sinks:
            log.info("sink %s: %s", report.name, report.where or report.state)
        while not daemon.wait(0.5):
            pass
    final = daemon.last_statistics
    log.info(
        "off air after %.1f s: %d frames sent, %d repeated, %d of the source's overtaken",
        final.uptime_s,
        final.sent,
        final.repeated,
        final.dropped,
    )
    return not daemon.left_behind


def _show_cursor() -> None:
    """Undo what the status line did to a terminal, but wait for it only a moment."""
    if os.isatty(2):
        writing = threading.Thread(target=os.write, args=(2, b"\x1b[?25h\r\n"), daemon=True)
        writing.start()
        writing.join(0.2)


def status_text(statistics: Statistics) -> str:
    """Return one line with what matters while on air."""
    fps = statistics.fps
    style = f"{statistics.preset or '…'} {statistics.strength:.0%}"
    return (
        f"● {statistics.picture} │ {style} │ {statistics.provider} {statistics.precision} │ "
        f"source {fps['source']:.1f} fresh {fps['worker']:.1f} key pictures {fps['keys']:.1f} "
        f"sent {fps['sink']:.1f} fps │ "
        f"latency {statistics.latency_ms.median:.0f} ms │ "
        f"repeated {statistics.repeated} │ restarts {statistics.worker_restarts}"
    )
