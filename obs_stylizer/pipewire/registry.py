"""Which nodes there are in PipeWire, now and as they come and go."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from typing import Final

from obs_stylizer.errors import PipewireError
from obs_stylizer.listing import Listing
from obs_stylizer.pipewire.connection import Connection, add_listener, get_registry
from obs_stylizer.pipewire.library import ON_GLOBAL, ON_REMOVED, Hook, RegistryEvents, read_dict

OWN_NODES: Final = "obs-stylizer."
"""What the names of our own cameras begin with."""

_NODE: Final = b"PipeWire:Interface:Node"


@dataclass(frozen=True, slots=True)
class Node:
    """A node: its number, and what it says of itself."""

    ident: int
    properties: dict[str, str]

    @property
    def name(self) -> str:
        """By which it is asked for; stays the same over restarts."""
        return self.properties.get("node.name", "")

    @property
    def title(self) -> str:
        """For people."""
        return self.properties.get("node.description") or self.name

    @property
    def device_path(self) -> str:
        """Of the V4L2 device that it shows; "" where there is none."""
        return self.properties.get("api.v4l2.path", "")

    @property
    def is_camera(self) -> bool:
        """It gives pictures, and is no screen that somebody shares."""
        return self.properties.get("media.class") == "Video/Source"


class Registry:
    """Follows the nodes that a connection may see.

    Attributes:
        nodes: by number, as they are now.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.nodes: dict[int, Node] = {}
        self._events = RegistryEvents(
            added=ON_GLOBAL(self._on_added), removed=ON_REMOVED(self._on_removed)
        )
        self._hook = Hook()
        with connection:
            self._proxy: int | None = get_registry(connection.core)
            add_listener(self._proxy, self._hook, self._events)

    def close(self) -> None:
        """Follow no more."""
        proxy, self._proxy = self._proxy, None
        if proxy is not None:
            with self._connection:
                self._connection.library.pw_proxy_destroy(proxy)

    # Called on the library's thread.

    def _on_added(
        self,
        _data: int,
        ident: int,
        _permissions: int,
        kind: bytes,
        _version: int,
        properties: ctypes.c_void_p,
    ) -> None:
        if kind == _NODE:
            self.nodes[ident] = Node(ident, read_dict(properties))

    def _on_removed(self, _data: int, ident: int) -> None:
        self.nodes.pop(ident, None)


def pipewire_trouble() -> PipewireError | None:
    """Why PipeWire is of no use here; None if it answers."""
    if sys.platform != "linux":
        return PipewireError("PipeWire is a part of Linux desktops")
    try:
        connection = Connection()
    except PipewireError as error:
        return error
    try:
        connection.sync()
    except PipewireError as error:
        return error
    finally:
        connection.close()
    return None


def list_camera_nodes() -> Listing[Node]:
    """List the cameras of PipeWire; never fails, and says why it is empty."""
    if sys.platform != "linux":
        return Listing(reason="PipeWire is a part of Linux desktops")
    try:
        connection = Connection()
    except PipewireError as error:
        return Listing(reason=str(error))
    try:
        registry = Registry(connection)
        try:
            connection.sync()
        finally:
            registry.close()
    except PipewireError as error:
        return Listing(reason=str(error))
    finally:
        connection.close()
    found = sorted(
        (node for node in registry.nodes.values() if node.is_camera), key=lambda node: node.ident
    )
    return Listing(found, "" if found else "no camera is known to PipeWire")
