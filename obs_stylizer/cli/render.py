"""``obs-stylizer render``: the presets of the stream on files, for editors."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import typer

from obs_stylizer.cli.console import error_console, print_error, start_logging
from obs_stylizer.cli.presets import open_library
from obs_stylizer.cli.render_display import Display
from obs_stylizer.errors import PresetError, StylizerError, UsageError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.settings import load_settings

if TYPE_CHECKING:
    from obs_stylizer.render.file_render import Result
    from obs_stylizer.render.requests import Request
    from obs_stylizer.render.worklist import RenderOptions

log = logging.getLogger(__name__)

STOPPED = 130
"""Exit code after Ctrl-C, as shells have it."""

_GRACE_SECONDS = 0.8
"""After which a stop no longer waits for a thread that is busy."""

_WAIT_SECONDS = 0.1

_DEFAULT_PRESET = "great-wave"


def render(
    inputs: list[str] = typer.Argument(
        None, metavar="IN…", help="Videos, pictures, folders of pictures, or - for stdin."
    ),
    output: str = typer.Option(
        ..., "-o", "--output", metavar="OUT", help="A file, a folder, or - for stdout."
    ),
    preset: str | None = typer.Option(None, help="Style to begin with; see: presets list."),
    strength: float | None = typer.Option(None, help="0 plain to 1 fully styled."),
    cue: list[str] | None = typer.Option(
        None, metavar="TIME=PRESET[@STRENGTH]", help="Change of style; may be given repeatedly."
    ),
    cues: Path | None = typer.Option(None, metavar="FILE", help="YAML file of cues."),
    codec: str = typer.Option(
        "h264", help="h264, h265, av1, prores (4444) or ffv1 (without loss)."
    ),
    quality: int = typer.Option(75, min=1, max=100, help="1 small file to 100 like the original."),
    container: str = typer.Option("", help="mp4, mkv, mov or webm; else by OUT or input."),
    encoder: str = typer.Option(
        "software", help="software, hardware, or an encoder's name such as h264_nvenc."
    ),
    size: str | None = typer.Option(
        None, metavar="WxH", help="Size of the result; the input's own if left out."
    ),
    process_size: str | None = typer.Option(
        None, metavar="WxH", help="Size at which the generator works."
    ),
    fps: str = typer.Option("25", help="Rate of a folder of pictures, as in 24 or 30000/1001."),
    drop: list[str] | None = typer.Option(
        None,
        metavar="KIND|NUMBER",
        help="Streams not to copy: audio, subtitle, attachment or video, or one by its number.",
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace files that are there."),
    resume: bool = typer.Option(
        False, "--resume", help="Go on where an interrupted rendering ended."
    ),
    watch: Path | None = typer.Option(
        None, metavar="FOLDER", help="Render every file that comes into this folder."
    ),
    cluster: str | None = typer.Option(
        None, metavar="ADDRESS", help="Dask scheduler to spread the work over, or local:N."
    ),
    provider: Provider | None = typer.Option(None, help="What runs the generator."),
    device: str | None = typer.Option(None, help="Which of several adapters, by name or index."),
    precision: Precision | None = typer.Option(None, help="Number format of the generator."),
    threads: int = typer.Option(0, min=0, help="CPU threads of the generator; 0 for all cores."),
    json_progress: bool = typer.Option(
        False, "--json-progress", help="Tell how far it is in lines of JSON."
    ),
    config: Path | None = typer.Option(None, help="Configuration file instead of your own."),
    log_level: str = typer.Option("info", help="debug, info, warning or error."),
) -> None:
    """Render videos and pictures in a style: every frame, in order, with sound.

    Example:  obs-stylizer render clip.mp4 -o painted.mp4 --cue 0:10=scream@0.6
    """
    start_logging(log_level)
    from obs_stylizer.render.cue_presets import Style, find_presets
    from obs_stylizer.render.cues import in_order, load_cues, parse_cue
    from obs_stylizer.render.encoders import Codec
    from obs_stylizer.render.file_render import Output
    from obs_stylizer.render.requests import plan_requests
    from obs_stylizer.render.worklist import RenderOptions

    display = Display(as_json=json_progress, stream=sys.stderr if output == "-" else sys.stdout)
    with display.telling():
        if strength is not None and not 0 <= strength <= 1:
            raise UsageError(f"strength {strength:g} is out of range", "it goes from 0 to 1")
        if codec not in list(Codec):
            raise UsageError(f"“{codec}” is no codec", f"choose {', '.join(Codec)}")
        if watch is not None and inputs:
            raise UsageError("--watch takes its files from the folder", "leave the inputs out")
        settings = load_settings(config)
        library = open_library()
        all_cues = [parse_cue(text) for text in cue or ()] + (load_cues(cues) if cues else [])
        ordered = in_order(all_cues, _preset(preset or settings.preset, library), strength)
        style = Style(
            cues=ordered,
            presets=find_presets(ordered, library),
            session=SessionOptions(
                provider=provider or Provider(settings.provider),
                device=settings.device if device is None else device,
                precision=precision or Precision(settings.precision),
                threads=threads or settings.threads,
                spin=settings.spin,
            ),
            process_size=_process_size(process_size or settings.process_size),
        )
        options = RenderOptions(
            style=style,
            output=Output(
                codec=Codec(codec),
                encoder=encoder,
                quality=quality,
                size=FrameSize.parse(size) if size else None,
                dropped=_dropped(drop or []),
                resume=resume,
                overwrite=overwrite,
            ),
            film_rate=_rate(fps),
        )
        stop = _stop_on_signals()
        if watch is not None:
            folder = watch
            _interruptibly(
                cluster,
                options,
                lambda each: _watch(folder, Path(output), each, container, display, stop),
            )
            return
        requests = plan_requests(inputs or [], output, Codec(codec), container)
        _interruptibly(cluster, options, lambda each: _render_all(requests, each, display, stop))


def _interruptibly(
    cluster: str | None, options: RenderOptions, work: Callable[[RenderOptions], None]
) -> None:
    """Do ``work`` in a thread: signals reach the main thread only between its own steps."""

    def do() -> None:
        if cluster is None:
            work(options)
            return
        from obs_stylizer.render.cluster import open_cluster

        with open_cluster(cluster) as machines:
            log.info("%s", machines.described)
            work(machines.over(options))

    with ThreadPoolExecutor(1, thread_name_prefix="rendering") as pool:
        future = pool.submit(do)
        while True:
            try:
                future.result(_WAIT_SECONDS)
                return
            except TimeoutError:
                if future.done():
                    raise


def _render_all(
    requests: list[Request], options: RenderOptions, display: Display, stop: threading.Event
) -> None:
    """Render one after another; a failure ends its own and is told, the rest goes on."""
    from obs_stylizer.render.worklist import is_finished

    failed = 0
    for request in requests:
        if is_finished(request, options):
            log.info("%s is there already and left as it is", request.target)
            continue
        try:
            render_one(request, options, display, stop)
        except StylizerError as error:
            if stop.is_set():
                _leave(error)
            if len(requests) == 1:
                raise
            failed += 1
            print_error(f"{request.source}: {error}")
    if failed:
        raise StylizerError(f"{failed} of {len(requests)} could not be rendered")


def render_one(
    request: Request, options: RenderOptions, display: Display, stop: threading.Event
) -> Result:
    """Render one thing and show how far it is."""
    from obs_stylizer.render.worklist import do_request

    with display.of(request) as report:
        try:
            result = do_request(request, options, report, stop)
        except StylizerError as error:
            display.failed(request, error)
            raise
        except Exception as error:
            # A fault of ours in one file must not keep the others from being rendered.
            log.debug("traceback", exc_info=error)
            failure = StylizerError(
                f"unexpected {type(error).__name__}: {error}",
                "run it again with --log-level debug and report what it prints",
            )
            display.failed(request, failure)
            raise failure from error
        display.done(request, result)
        return result


def _watch(
    folder: Path,
    target: Path,
    options: RenderOptions,
    container: str,
    display: Display,
    stop: threading.Event,
) -> None:
    from obs_stylizer.render.file_render import RenderStoppedError
    from obs_stylizer.render.watching import watch_folder

    log.info("waiting for files in %s; Ctrl-C ends it", folder)
    try:
        watch_folder(
            folder,
            target,
            options,
            container,
            lambda request, each: render_one(request, each, display, stop),
            stop,
        )
    except RenderStoppedError as error:
        _leave(error)


def _leave(error: StylizerError) -> NoReturn:
    """Say what was stopped and end at once: threads may still be inside a generator."""
    error_console().print(str(error), markup=False, highlight=False, soft_wrap=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(STOPPED)


def _stop_on_signals() -> threading.Event:
    """Return what is set by Ctrl-C; a thread that does not listen in time is left to its fate."""
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.is_set():
            os._exit(STOPPED)
        log.debug("signal %d", number)
        stop.set()
        # Nothing under a final name is ever half written, so leaving like this loses nothing.
        timer = threading.Timer(_GRACE_SECONDS, os._exit, [STOPPED])
        timer.daemon = True
        timer.start()

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)
    return stop


def _preset(name: str, library: PresetLibrary) -> str:
    if name:
        return name
    names = library.names()
    if not names:
        raise PresetError("there is no usable preset", "reinstall, or name a file of your own")
    return _DEFAULT_PRESET if _DEFAULT_PRESET in names else names[0]


def _process_size(text: str | None) -> FrameSize | None:
    return FrameSize.parse(text) if text else None


def _dropped(kinds: list[str]) -> tuple[str, ...]:
    known = ("audio", "subtitle", "attachment", "video")
    for kind in kinds:
        if kind not in known and not (kind.isascii() and kind.isdigit()):
            raise UsageError(
                f"“{kind}” is no kind of stream",
                f"choose {', '.join(known)}, or a stream's number as messages name it",
            )
    return tuple(kinds)


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text).limit_denominator(1001)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise UsageError(f"“{text}” is no rate", "write it as 24, 29.97 or 30000/1001")
    return rate
