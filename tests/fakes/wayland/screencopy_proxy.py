"""Stands between xdg-desktop-portal-wlr and a compositor that draws in software.

Up to 0.7.1 that portal ends a cast for which the compositor names no memory of a GPU, though it
would then take plain memory anyway. This adds that one event, linux_dmabuf, before the end of each
list of buffers.

    screencopy_proxy.py SOCKET-OF-THE-COMPOSITOR SOCKET-TO-MAKE
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable

MANAGER = b"zwlr_screencopy_manager_v1\0"
BUFFER, LINUX_DMABUF, BUFFER_DONE = 0, 5, 6
# wl_shm's two oldest formats have numbers of their own.
FOURCC = {0: 0x34325241, 1: 0x34325258}
DESCRIPTORS = 28

LoadedPreset = Callable[[int, int, bytes], bytes]


class Link:
    """One client's line to the compositor."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.managers: set[int] = set()
        self.frames: dict[int, tuple[int, int, int] | None] = {}
        for line in ((client, server, self.request), (server, client, self.event)):
            threading.Thread(target=pump, args=line, daemon=True).start()

    def request(self, ident: int, opcode: int, body: bytes) -> bytes:
        if opcode == 0 and MANAGER in body and len(body) >= 40:
            self.managers.add(struct.unpack_from("=I", body, len(body) - 4)[0])
        elif ident in self.managers and opcode in (0, 1):
            self.frames[struct.unpack_from("=I", body)[0]] = None
        return b""

    def event(self, ident: int, opcode: int, body: bytes) -> bytes:
        if ident not in self.frames:
            return b""
        if opcode == BUFFER:
            self.frames[ident] = struct.unpack_from("=III", body)
        elif opcode == LINUX_DMABUF:
            del self.frames[ident]  # this compositor names it by itself
        elif opcode == BUFFER_DONE:
            told = self.frames.pop(ident)
            if told is not None:
                form, width, height = told
                head = 20 << 16 | LINUX_DMABUF
                return struct.pack("=IIIII", ident, head, FOURCC.get(form, form), width, height)
        return b""


def pump(source: socket.socket, target: socket.socket, request_id: LoadedPreset) -> None:
    """Pass everything on, descriptors too, and before each message what ``look`` returns."""
    rest = b""
    try:
        while True:
            room = socket.CMSG_SPACE(DESCRIPTORS * 4)
            data, ancillary, _, _ = source.recvmsg(1 << 16, room)
            if not data:
                break
            descriptors = array.array("i")
            for level, kind, raw in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.frombytes(raw[: len(raw) // 4 * 4])
            rest += data
            out = b""
            while len(rest) >= 8:
                ident, word = struct.unpack_from("=II", rest)
                size = word >> 16
                if len(rest) < size:
                    break
                out += request_id(ident, word & 0xFFFF, rest[8:size]) + rest[:size]
                rest = rest[size:]
            if descriptors and not out:
                out, rest = rest, b""
            extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)] if descriptors else []
            sent = target.sendmsg([out], extra) if out else 0
            for descriptor in descriptors:
                os.close(descriptor)
            target.sendall(out[sent:])
    except OSError:
        pass
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def main() -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(sys.argv[2])
    server.listen()
    while True:
        client, _ = server.accept()
        up = socket.socket(socket.AF_UNIX)
        try:
            up.connect(sys.argv[1])
        except OSError:
            client.close()
            continue
        Link(client, up)


if __name__ == "__main__":
    main()
