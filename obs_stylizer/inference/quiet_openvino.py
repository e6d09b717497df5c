"""OpenVINO, imported so that it does not report itself to its maker.

Merely importing its converter, which ``import openvino`` does, sends an event over the network from
a thread of its own. Nobody asked our users; without the package that sends, a stub is taken.
"""

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402

__all__ = ["openvino"]
