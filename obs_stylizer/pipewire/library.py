"""The system's libpipewire: its functions and structures as ctypes sees them.

Run with 0.3.65 and 1.4.2, whose binary interface is the same. See pipewire/stream.h and
spa/buffer/buffer.h.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    POINTER,
    Structure,
    c_bool,
    c_char_p,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from functools import cache
from typing import Any, Final

from obs_stylizer.errors import PipewireError

NAME: Final = "libpipewire-0.3.so.0"

MISSING_REMEDY: Final = (
    "install it: sudo apt install libpipewire-0.3-0 (Fedora: sudo dnf install pipewire-libs)"
)


class Chunk(Structure):
    """Which part of a block is filled (spa_chunk)."""

    _fields_ = [
        ("offset", c_uint32),
        ("size", c_uint32),
        ("stride", c_int32),
        ("flags", c_int32),
    ]


class Data(Structure):
    """A block of memory (spa_data)."""

    _fields_ = [
        ("type", c_uint32),
        ("flags", c_uint32),
        ("fd", c_int64),
        ("mapoffset", c_uint32),
        ("maxsize", c_uint32),
        ("data", c_void_p),
        ("chunk", POINTER(Chunk)),
    ]


class Meta(Structure):
    """What is told beside a picture (spa_meta)."""

    _fields_ = [("type", c_uint32), ("size", c_uint32), ("data", c_void_p)]


class SpaBuffer(Structure):
    """The blocks of a picture (spa_buffer)."""

    _fields_ = [
        ("n_metas", c_uint32),
        ("n_datas", c_uint32),
        ("metas", POINTER(Meta)),
        ("datas", POINTER(Data)),
    ]


class Buffer(Structure):
    """A buffer of a stream; newer libraries add to its end (pw_buffer)."""

    _fields_ = [("buffer", POINTER(SpaBuffer)), ("user_data", c_void_p), ("size", c_uint64)]


class MetaHeader(Structure):
    """When a picture was made: ``pts`` in ns of CLOCK_MONOTONIC (spa_meta_header)."""

    _fields_ = [
        ("flags", c_uint32),
        ("offset", c_uint32),
        ("pts", c_int64),
        ("dts_offset", c_int64),
        ("seq", c_uint64),
    ]


class Hook(Structure):
    """A place in a list of listeners; must live as long as it is in it (spa_hook)."""

    _fields_ = [
        ("next", c_void_p),
        ("prev", c_void_p),
        ("funcs", c_void_p),
        ("data", c_void_p),
        ("removed", c_void_p),
        ("priv", c_void_p),
    ]


class DictItem(Structure):
    """A name and its value (spa_dict_item)."""

    _fields_ = [("key", c_char_p), ("value", c_char_p)]


class Dict(Structure):
    """Names and their values (spa_dict)."""

    _fields_ = [("flags", c_uint32), ("n_items", c_uint32), ("items", POINTER(DictItem))]


class Interface(Structure):
    """What every object of PipeWire begins with: its table of methods (spa_interface)."""

    _fields_ = [
        ("type", c_char_p),
        ("version", c_uint32),
        ("funcs", c_void_p),
        ("data", c_void_p),
    ]


ON_STATE = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_int, c_char_p)
ON_PARAM = ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_void_p)
ON_BUFFER = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)
ON_EVENT = ctypes.CFUNCTYPE(None, c_void_p)
ON_GLOBAL = ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_uint32, c_char_p, c_uint32, POINTER(Dict))
ON_REMOVED = ctypes.CFUNCTYPE(None, c_void_p, c_uint32)
ON_DONE = ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_int)
ON_ERROR = ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_int, c_int, c_char_p)


class StreamEvents(Structure):
    """pw_stream_events, version 2."""

    _fields_ = [
        ("version", c_uint32),
        ("destroy", c_void_p),
        ("state_changed", ON_STATE),
        ("control_info", c_void_p),
        ("io_changed", c_void_p),
        ("param_changed", ON_PARAM),
        ("add_buffer", c_void_p),
        ("remove_buffer", ON_BUFFER),
        ("process", ON_EVENT),
        ("drained", c_void_p),
        ("command", c_void_p),
        ("trigger_done", c_void_p),
    ]


class RegistryEvents(Structure):
    """pw_registry_events, version 0."""

    _fields_ = [("version", c_uint32), ("added", ON_GLOBAL), ("removed", ON_REMOVED)]


class CoreEvents(Structure):
    """pw_core_events, version 0."""

    _fields_ = [
        ("version", c_uint32),
        ("info", c_void_p),
        ("done", ON_DONE),
        ("ping", c_void_p),
        ("error", ON_ERROR),
        ("remove_id", c_void_p),
        ("bound_id", c_void_p),
        ("add_mem", c_void_p),
        ("remove_mem", c_void_p),
        ("bound_props", c_void_p),
    ]


_FUNCTIONS: Final[dict[str, tuple[Any, list[Any]]]] = {
    "pw_init": (None, [c_void_p, c_void_p]),
    "pw_get_library_version": (c_char_p, []),
    "pw_thread_loop_new": (c_void_p, [c_char_p, c_void_p]),
    "pw_thread_loop_destroy": (None, [c_void_p]),
    "pw_thread_loop_start": (c_int, [c_void_p]),
    "pw_thread_loop_stop": (None, [c_void_p]),
    "pw_thread_loop_lock": (None, [c_void_p]),
    "pw_thread_loop_unlock": (None, [c_void_p]),
    "pw_thread_loop_get_loop": (c_void_p, [c_void_p]),
    "pw_context_new": (c_void_p, [c_void_p, c_void_p, c_size_t]),
    "pw_context_destroy": (None, [c_void_p]),
    "pw_context_connect": (c_void_p, [c_void_p, c_void_p, c_size_t]),
    "pw_context_connect_fd": (c_void_p, [c_void_p, c_int, c_void_p, c_size_t]),
    "pw_core_disconnect": (c_int, [c_void_p]),
    "pw_properties_new_dict": (c_void_p, [POINTER(Dict)]),
    "pw_proxy_destroy": (None, [c_void_p]),
    "pw_stream_new": (c_void_p, [c_void_p, c_char_p, c_void_p]),
    "pw_stream_destroy": (None, [c_void_p]),
    "pw_stream_add_listener": (None, [c_void_p, POINTER(Hook), c_void_p, c_void_p]),
    "pw_stream_connect": (c_int, [c_void_p, c_int, c_uint32, c_int, c_void_p, c_uint32]),
    "pw_stream_update_params": (c_int, [c_void_p, c_void_p, c_uint32]),
    "pw_stream_dequeue_buffer": (POINTER(Buffer), [c_void_p]),
    "pw_stream_queue_buffer": (c_int, [c_void_p, c_void_p]),
    "pw_stream_get_node_id": (c_uint32, [c_void_p]),
    "pw_stream_trigger_process": (c_int, [c_void_p]),
    "pw_stream_set_active": (c_int, [c_void_p, c_bool]),
}


@cache
def load() -> Any:
    """Load the library once.

    Raises:
        PipewireError: it is not here, or lacks what is needed.
    """
    try:
        library = ctypes.CDLL(NAME, use_errno=True)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except OSError as error:
        raise PipewireError(f"{NAME} is not here", MISSING_REMEDY) from error
    except AttributeError as error:
        raise PipewireError(
            f"{NAME} is too old: {error}", "upgrade PipeWire to 0.3.65 or newer"
        ) from error
    library.pw_init(None, None)
    return library


def library_version() -> str:
    """Version of the library, as "1.4.2".

    Raises:
        PipewireError: it is not here.
    """
    return str(load().pw_get_library_version().decode())


def make_properties(values: dict[str, str]) -> int:
    """Make a pw_properties, which whoever it is passed to owns."""
    items = (DictItem * len(values))(
        *(DictItem(key.encode(), value.encode()) for key, value in values.items())
    )
    return int(load().pw_properties_new_dict(ctypes.byref(Dict(0, len(values), items))))


def read_dict(pointer: Any) -> dict[str, str]:
    """Copy a spa_dict; empty where there is none."""
    if not pointer:
        return {}
    entries = pointer.contents
    return {
        item.key.decode("utf-8", "replace"): (item.value or b"").decode("utf-8", "replace")
        for item in entries.items[: entries.n_items]
    }
