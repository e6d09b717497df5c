#!/usr/bin/env python3
"""What Kdenlive runs as a clip job: obs-stylizer, with its progress in Kdenlive's words.

    kdenlive_job.py SOURCE TARGET PRESET

Kdenlive reads “percentage: N” on the error stream, and takes the job for done when the target is
there. Works alone, with Python's own library.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys

# Filled in by install_editors.py.
PROGRAM = "obs-stylizer"


def main(arguments: list[str]) -> int:
    """Render, and tell how far it is; returns the exit code."""
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    source, target, preset = arguments
    command = [PROGRAM, "render", source, "-o", target, "--preset", preset]
    command += ["--json-progress", "--overwrite", "--log-level", "error"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    # Kdenlive kills the job that somebody cancels; the rendering must not outlive it.
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["frames"]:
            print(f"percentage: {100 * event['frame'] // event['frames']}", file=sys.stderr)
            sys.stderr.flush()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
