"""OpenVINO must not tell its maker that somebody started our program."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, threading
from obs_stylizer.inference.openvino_runtime import openvino_core
openvino_core()
sender = [name for name in sys.modules if name.startswith("openvino_telemetry.")]
print(sender, [thread.name for thread in threading.enumerate()])
"""


def test_nothing_is_sent_when_it_is_imported() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert result.stdout == "[] ['MainThread']\n", result.stderr
