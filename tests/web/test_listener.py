"""Few file descriptors and many viewers: they are turned away, and the rest goes on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")

SERVE = """
import json, logging, os, resource, socket, sys, time
lines = []
class Keep(logging.Handler):
    def emit(self, record): lines.append(record.getMessage())
logging.basicConfig(level=logging.WARNING, handlers=[Keep()])
from obs_stylizer.web.server import WebServer

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        if (await receive())["type"] == "http.disconnect":
            return

server = WebServer(app, 0)
server.start()
port = int(server.url.rsplit(":", 1)[1])
# Both ends of each connection are in this process, so the viewers get theirs beforehand.
viewers = [socket.socket() for _ in range(120)]
resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for viewer in viewers:
    viewer.settimeout(5)
    viewer.connect(("127.0.0.1", port))
    viewer.sendall(b"GET / HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n")
starts = []
for viewer in viewers:
    try:
        starts.append(viewer.recv(12).decode())
    except OSError:
        starts.append("")
taken = []
def grab():
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
if "all" in sys.argv:
    grab()
    for viewer in viewers[-5:]:
        viewer.close()
    late = []
    for number in range(5):
        with socket.socket() as viewer:
            viewer.settimeout(5)
            viewer.connect(("127.0.0.1", port))
            grab()
            try:
                late.append(viewer.recv(12).decode())
            except OSError:
                late.append("")
    for number in taken:
        os.close(number)
else:
    late = []
    grab()
    free = len(taken)
    for number in taken:
        os.close(number)
    taken = range(free)
for viewer in viewers:
    viewer.close()
time.sleep(0.5)
with socket.create_connection(("127.0.0.1", port), 5) as again:
    again.sendall(b"GET / HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n")
    back = again.recv(12).decode()
server.stop()
print(json.dumps({"starts": starts, "free": len(taken), "back": back, "lines": lines}))
"""


def serve(*arguments: str) -> dict[str, object]:
    ended = subprocess.run(
        [sys.executable, "-c", SERVE, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told: dict[str, object] = json.loads(ended.stdout)
    return told


def test_viewers_beyond_the_limit_are_turned_away() -> None:
    told = serve()
    starts = told["starts"]
    assert isinstance(starts, list)
    assert 5 <= starts.count("HTTP/1.1 200") <= 60
    assert isinstance(told["free"], int)
    assert told["free"] >= 30, "a camera, a recording and a new worker can be opened"
    assert told["back"] == "HTTP/1.1 200", "when viewers leave, others may come"
    lines = told["lines"]
    assert isinstance(lines, list)
    assert len(lines) == 1
    assert "this process may open only 200 files" in lines[0]
    assert "ulimit -n" in lines[0]


def test_where_none_at_all_is_left_nothing_is_reported_for_ever() -> None:
    told = serve("all")
    lines = told["lines"]
    assert isinstance(lines, list)
    assert len(lines) <= 2
    assert told["back"] == "HTTP/1.1 200"


def test_the_limit_is_raised_as_far_as_may_be() -> None:
    program = (
        "import resource as r; hard = r.getrlimit(r.RLIMIT_NOFILE)[1];"
        "r.setrlimit(r.RLIMIT_NOFILE, (64, hard));"
        "from obs_stylizer.web.listener import raise_descriptor_limit;"
        "raise_descriptor_limit(); print(r.getrlimit(r.RLIMIT_NOFILE)[0], hard)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    soft, hard = (int(number) for number in ended.stdout.split())
    assert soft == (4096 if hard < 0 else min(4096, hard))
