"""A page that shows a camera and measures it, opened in real browsers."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SCRIPT = """
async function measure() {
  let stream;
  // The session manager lets a browser see the camera a moment after it may.
  for (let tries = 1; !stream; tries++) {
    try {
      stream = await navigator.mediaDevices.getUserMedia({video: {width: 1280, height: 720}});
    } catch (error) {
      if (tries >= 8) throw error;
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
  const video = document.querySelector("video");
  video.srcObject = stream;
  await video.play();
  let frames = 0, began = 0;
  await new Promise((done) => {
    function next() {
      frames++;
      if (frames === 15) began = performance.now();
      if (frames > 15 && performance.now() - began > 8000) done();
      else video.requestVideoFrameCallback(next);
    }
    video.requestVideoFrameCallback(next);
    setTimeout(done, 20000);
  });
  const fps = (frames - 15) / ((performance.now() - began) / 1000);
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  const colour = (x, y) => Array.from(context.getImageData(x, y, 1, 1).data.slice(0, 3));
  const result = {
    camera: stream.getVideoTracks()[0].label,
    size: `${video.videoWidth}x${video.videoHeight}`,
    fps: Math.round(fps * 10) / 10,
    left: colour(100, 400),
    right: colour(1200, 400),
  };
  stream.getTracks().forEach((track) => track.stop());
  return result;
}
measure().catch((error) => ({error: String(error)}))
  .then((result) => fetch("/result", {method: "POST", body: JSON.stringify(result)}));
"""
_PAGE = (
    f"<!doctype html><title>camera</title><video autoplay muted></video><script>{_SCRIPT}</script>"
)
_SECONDS = 60.0

_PREFERENCES = {
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.autoplay.default": 0,
    "media.navigator.permission.disabled": True,
    "media.webrtc.camera.allow-pipewire": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}


class _Results:
    def __init__(self) -> None:
        self.there = threading.Event()
        self.result: dict[str, Any] = {}

    def wait(self) -> dict[str, Any]:
        return self.result if self.there.wait(_SECONDS) else {"error": "no answer"}


@contextmanager
def _page() -> Iterator[tuple[str, _Results]]:
    results = _Results()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(_PAGE.encode())

        def do_POST(self) -> None:
            results.result = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()
            results.there.set()

        def log_message(self, *arguments: object) -> None:
            del arguments

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", results
        server.shutdown()


def read_with_chromium() -> dict[str, Any]:
    """Let Chromium show the first camera; returns its rate and the colour of both halves."""
    program = shutil.which("chromium")
    if program is None:
        return {"error": "not installed"}
    from playwright.sync_api import sync_playwright

    arguments = [
        "--no-sandbox",
        "--mute-audio",
        "--use-fake-ui-for-media-stream",
        "--enable-features=WebRtcPipeWireCamera",
    ]
    with _page() as (address, results), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=arguments, env=dict(os.environ)
        )
        browser.new_page().goto(address)
        result = results.wait()
        version = browser.version
        browser.close()
    return {"version": version, **result}


def read_with_firefox(folder: Path) -> dict[str, Any]:
    """Let Firefox do the same."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        return {"error": "not installed"}
    profile = folder / "firefox"
    profile.mkdir()
    lines = [f'user_pref("{key}", {json.dumps(value)});\n' for key, value in _PREFERENCES.items()]
    (profile / "user.js").write_text("".join(lines))
    with _page() as (address, results):
        command = [program, "--headless", "--no-remote", "--profile", str(profile), address]
        with subprocess.Popen(
            command,
            env={**os.environ, "HOME": str(profile)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as firefox:
            result = results.wait()
            firefox.terminate()
    return result
