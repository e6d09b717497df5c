"""A Wayland program of bare sockets: one full-screen window, left half red, right half green.

At its top it writes the time in 32 black or white squares. Run as a program:

    painter.py WIDTH HEIGHT FPS SECONDS
"""

from __future__ import annotations

import array
import mmap
import os
import select
import socket
import struct
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RED, GREEN = (200, 40, 40), (40, 200, 40)
SQUARE = 16
BUFFERS = 3


def read_milliseconds(pixels: NDArray[np.uint8]) -> int:
    """Read the time, of the monotonic clock, that an RGB picture shows."""
    middles = pixels[SQUARE // 2, SQUARE // 2 : 32 * SQUARE : SQUARE, 1] > 127
    return int(sum(1 << bit for bit in range(32) if middles[bit]))


def milliseconds_now() -> int:
    return int(time.monotonic() * 1000) & 0xFFFFFFFF


class Window:
    """One surface in shared memory; numbers are those of the Wayland protocol's own XML."""

    def __init__(self, width: int, height: int) -> None:
        folder, name = os.environ["XDG_RUNTIME_DIR"], os.environ["WAYLAND_DISPLAY"]
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(Path(folder) / name))
        self.width, self.height = width, height
        self.rest = b""
        self.next_id = 2
        self.globals: dict[str, int] = {}
        self.done: set[int] = set()
        self.configured = False
        self.buffers: list[int] = []
        self.free = [True] * BUFFERS
        self.base = self.xdg_surface = 0
        self.registry = self.new_id()
        self.send(1, 1, struct.pack("=I", self.registry))
        self.roundtrip()
        compositor, memory = self.bind("wl_compositor", 4), self.bind("wl_shm", 1)
        self.base = self.bind("xdg_wm_base", 1)
        self.surface = self.new_id()
        self.send(compositor, 0, struct.pack("=I", self.surface))
        self.xdg_surface = self.new_id()
        self.send(self.base, 2, struct.pack("=II", self.xdg_surface, self.surface))
        toplevel = self.new_id()
        self.send(self.xdg_surface, 1, struct.pack("=I", toplevel))
        self.send(toplevel, 2, text("painter"))
        self.send(toplevel, 11, struct.pack("=I", 0))
        self.send(self.surface, 6)
        self.pictures = self.share_memory(memory)
        until = time.monotonic() + 5
        while not self.configured and time.monotonic() < until:
            self.dispatch(0.1)

    def share_memory(self, memory: int) -> list[NDArray[np.uint8]]:
        size = self.width * self.height * 4
        descriptor = os.memfd_create("painter")
        os.ftruncate(descriptor, size * BUFFERS)
        shared = mmap.mmap(descriptor, size * BUFFERS)
        pool = self.new_id()
        self.send(memory, 0, struct.pack("=Ii", pool, size * BUFFERS), descriptor)
        for number in range(BUFFERS):
            self.buffers.append(self.new_id())
            place = (self.buffers[-1], number * size, self.width, self.height, self.width * 4, 1)
            self.send(pool, 0, struct.pack("=IiiiiI", *place))
        shape = (self.height, self.width, 4)
        return [
            np.frombuffer(shared, np.uint8, size, number * size).reshape(shape)
            for number in range(BUFFERS)
        ]

    def new_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def send(self, ident: int, opcode: int, body: bytes = b"", descriptor: int = -1) -> None:
        data = struct.pack("=II", ident, (8 + len(body)) << 16 | opcode) + body
        passed = array.array("i", [descriptor] if descriptor >= 0 else [])
        extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)] if passed else []
        self.socket.sendmsg([data], extra)

    def bind(self, interface: str, version: int) -> int:
        ident = self.new_id()
        body = struct.pack("=I", self.globals[interface]) + text(interface)
        self.send(self.registry, 0, body + struct.pack("=II", version, ident))
        return ident

    def roundtrip(self) -> None:
        callback = self.new_id()
        self.send(1, 0, struct.pack("=I", callback))
        while callback not in self.done:
            self.dispatch(1)

    def dispatch(self, seconds: float = 0) -> None:
        if not select.select([self.socket], [], [], seconds)[0]:
            return
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the compositor went away")
        self.rest += data
        while len(self.rest) >= 8:
            ident, word = struct.unpack_from("=II", self.rest)
            size, opcode = word >> 16, word & 0xFFFF
            if len(self.rest) < size:
                break
            body, self.rest = self.rest[8:size], self.rest[size:]
            self.take(ident, opcode, body)

    def take(self, ident: int, opcode: int, body: bytes) -> None:
        if ident == 1 and opcode == 0:
            raise RuntimeError(f"the compositor says {body!r}")
        if ident == self.registry and opcode == 0:
            name, length = struct.unpack_from("=II", body)
            self.globals[body[8 : 7 + length].decode()] = name
        elif ident == self.base:
            self.send(self.base, 3, body)
        elif ident == self.xdg_surface:
            self.send(self.xdg_surface, 4, body)
            self.configured = True
        elif ident in self.buffers:
            self.free[self.buffers.index(ident)] = True
        elif opcode == 0:
            self.done.add(ident)

    def paint(self) -> None:
        """Show the time; nothing where no buffer is free."""
        self.dispatch()
        number = next((n for n, free in enumerate(self.free) if free), None)
        if number is None:
            return
        self.free[number] = False
        picture = self.pictures[number]
        picture[:, : self.width // 2, :3] = RED[::-1]
        picture[:, self.width // 2 :, :3] = GREEN[::-1]
        now = milliseconds_now()
        for bit in range(32):
            picture[:SQUARE, bit * SQUARE : (bit + 1) * SQUARE] = 255 if now >> bit & 1 else 0
        self.send(self.surface, 1, struct.pack("=Iii", self.buffers[number], 0, 0))
        self.send(self.surface, 2, struct.pack("=iiii", 0, 0, self.width, self.height))
        self.send(self.surface, 6)


def text(value: str) -> bytes:
    data = value.encode() + b"\0"
    return struct.pack("=I", len(data)) + data + b"\0" * (-len(data) % 4)


def main() -> None:
    width, height = int(sys.argv[1]), int(sys.argv[2])
    period, seconds = 1 / float(sys.argv[3]), float(sys.argv[4])
    window = Window(width, height)
    due = time.monotonic()
    end = due + seconds
    print("up", flush=True)
    while due < end:
        time.sleep(max(0, due - time.monotonic()))
        due += period
        window.paint()


if __name__ == "__main__":
    main()
