"""``obs-stylizer panel``: open the panel of the daemon that runs, with what lets it in."""

from __future__ import annotations

import webbrowser

import typer

from obs_stylizer.cli.running_daemon import (
    NoDaemonError,
    RunningDaemon,
    find_daemon,
    only_other,
)
from obs_stylizer.errors import StylizerError

_SECONDS = 10.0


def panel(
    show: bool = typer.Option(
        False, help="Print the addresses of panel and stream, with the token; open nothing."
    ),
    address: str | None = typer.Option(None, help="Where it listens; else your settings."),
    token: str | None = typer.Option(None, help="To open the panel of another machine."),
) -> None:
    """Open the panel in your browser. --show prints addresses for OBS: panel (a dock), stream."""
    daemon = _find(address, token)
    if show:
        typer.echo(f"panel, and OBS dock   {daemon.page(token=daemon.token)}")
        typer.echo(f"stream, with “http”   {daemon.page('/stream.mjpg', token=daemon.token)}")
        return
    # For once: other accounts see with what a browser is started.
    opened = daemon.page(code=daemon.post("/api/panel-code")["code"])
    if webbrowser.open(opened):
        typer.echo(f"the panel at {daemon.page()} is being opened")
    else:
        typer.echo(f"no browser can be started here; open within a minute: {opened}")


def _find(address: str | None, token: str | None) -> RunningDaemon:
    daemon = find_daemon(address, token, _SECONDS)
    try:
        known = daemon.get("/api/access").get("known")
    except NoDaemonError as error:
        daemon = only_other(daemon, error)
        known = daemon.get("/api/access").get("known")
    if not known:
        raise StylizerError(
            f"the obs-stylizer at {daemon.address} has another token",
            "it was started by another user; give its token with --token",
        )
    return daemon
