"""``obs-stylizer devices``: what there is to show, to send to, and to compute on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from obs_stylizer.cli.console import JSON_OPTION, print_json, print_table
from obs_stylizer.portal.session import is_wayland

if TYPE_CHECKING:
    from obs_stylizer.inference.providers import ProviderInfo
    from obs_stylizer.listing import Listing
    from obs_stylizer.obs_filter.listing import FilterInfo
    from obs_stylizer.sinks.listing import VirtualCameraInfo
    from obs_stylizer.sources.device_info import (
        CameraInfo,
        GeneratorInfo,
        NodeInfo,
        ScreenInfo,
        SharedInfo,
    )


def devices(as_json: bool = JSON_OPTION) -> None:
    """List cameras, screens, generators of pictures, virtual cameras, and what can compute."""
    # The runtimes take a second to load, and no other command should wait for that.
    from obs_stylizer.inference.providers import list_providers
    from obs_stylizer.obs_filter.listing import list_filters
    from obs_stylizer.sinks.listing import list_pipewire_cameras as list_own_cameras
    from obs_stylizer.sinks.listing import list_virtual_cameras
    from obs_stylizer.sources.listing import (
        list_cameras,
        list_generators,
        list_pipewire_cameras,
        list_screens,
        list_shared,
    )

    cameras, screens, sinks = list_cameras(), list_screens(), list_virtual_cameras()
    nodes, shared, own_cameras = list_pipewire_cameras(), list_shared(), list_own_cameras()
    generators, providers, filters = list_generators(), list_providers(), list_filters()
    if as_json:
        print_json(
            {
                "cameras": [asdict(camera) for camera in cameras],
                "pipewire_cameras": [asdict(node) for node in nodes],
                "screens": [asdict(screen) for screen in screens],
                "shared": [asdict(one) for one in shared],
                "generators": [asdict(generator) for generator in generators],
                "obs_filters": [
                    {"source": info.source, "name": info.name, "served": info.is_served}
                    for info in filters
                ],
                "virtual_cameras": [asdict(camera) for camera in sinks],
                "pipewire_sinks": [asdict(camera) for camera in own_cameras],
                "providers": [_provider_as_dict(info) for info in providers],
                "reasons": {
                    "cameras": cameras.reason,
                    "pipewire_cameras": nodes.reason,
                    "screens": screens.reason,
                    "shared": shared.reason,
                    "generators": generators.reason,
                    "virtual_cameras": sinks.reason,
                    "pipewire_sinks": own_cameras.reason,
                },
            }
        )
        return
    _print_cameras(cameras)
    if sys.platform == "linux":
        _print_nodes(nodes)
    if shared or not screens:
        _print_shared(shared, screens)
    else:
        _print_screens(screens)
    _print_generators(generators)
    _print_filters(filters)
    _print_virtual_cameras(sinks)
    if sys.platform == "linux":
        _print_own_cameras(own_cameras)
    _print_providers(providers)


def _print_cameras(cameras: Listing[CameraInfo]) -> None:
    rows = [
        (f"camera:{c.index}", c.name, c.path, "fed by a program" if c.is_virtual else "")
        for c in cameras
    ]
    _print_listing("Cameras", ("source", "name", "path", ""), rows, cameras.reason)


def _print_filters(filters: Sequence[FilterInfo]) -> None:
    rows = [
        (f"obs-filter:{info.source}", str(info), "served" if info.is_served else "")
        for info in filters
    ]
    _print_listing("Filters in OBS", ("source", "what", ""), rows, "none wants a style now")


def _print_nodes(nodes: Listing[NodeInfo]) -> None:
    rows = [
        (
            f"camera:pipewire:{node.node}",
            node.name,
            node.path,
            "fed by obs-stylizer" if node.is_virtual else "",
        )
        for node in nodes
    ]
    columns = ("source", "name", "path", "")
    _print_listing("Cameras of PipeWire", columns, rows, nodes.reason)


def _print_shared(shared: Listing[SharedInfo], screens: Listing[ScreenInfo]) -> None:
    rows = [(one.source, one.title) for one in shared]
    reason = shared.reason if is_wayland() else screens.reason
    _print_listing("Screens", ("source", "asked for in the desktop's dialog"), rows, reason)


def _print_screens(screens: Listing[ScreenInfo]) -> None:
    rows = [
        (
            f"screen:{s.index}",
            s.name,
            f"{s.width}x{s.height}",
            f"{s.left},{s.top}",
            "primary" if s.is_primary else "",
        )
        for s in screens
    ]
    _print_listing("Screens", ("source", "name", "size", "at", ""), rows, screens.reason)


def _print_generators(generators: Listing[GeneratorInfo]) -> None:
    rows = [(f"generator:{g.name}", g.title, f"{g.width}x{g.height}") for g in generators]
    columns = ("source", "title", "size")
    _print_listing("Generators of pictures", columns, rows, generators.reason)


def _print_virtual_cameras(cameras: Listing[VirtualCameraInfo]) -> None:
    rows = [(f"virtual-camera:{c.device}", c.name, c.backend, c.in_use) for c in cameras]
    _print_listing("Virtual cameras", ("sink", "name", "by", "in use"), rows, cameras.reason)


def _print_own_cameras(cameras: Listing[VirtualCameraInfo]) -> None:
    rows = [("pipewire-camera[:NAME]", c.name, c.backend, c.in_use) for c in cameras]
    columns = ("sink", "name", "by", "in use")
    _print_listing("Virtual cameras without a kernel module", columns, rows, cameras.reason)


def _print_providers(providers: list[ProviderInfo]) -> None:
    rows = [
        (str(info.provider), str(adapter.index), adapter.name, str(adapter.kind))
        for info in providers
        for adapter in info.adapters
    ]
    _print_listing(
        "Execution providers",
        ("--provider", "--device", "name", "kind"),
        rows,
        "no runtime is installed",
    )
    typer.echo("Not here:")
    for info in providers:
        if not info.adapters:
            remedy = f" ({info.remedy})" if info.remedy else ""
            typer.echo(f"  {info.provider}: {info.missing}{remedy}")


def _print_listing(
    title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], reason: str
) -> None:
    """Print a table, or in one line why there is nothing to print."""
    if rows:
        print_table(columns, rows, title)
    else:
        typer.echo(f"{title}: none; {reason}")
    typer.echo("")


def _provider_as_dict(info: ProviderInfo) -> dict[str, object]:
    return {
        "provider": info.provider,
        "available": bool(info.adapters),
        "adapters": [
            {"index": a.index, "name": a.name, "kind": a.kind, "integrated": a.integrated}
            for a in info.adapters
        ],
        "missing": info.missing,
        "remedy": info.remedy,
    }
