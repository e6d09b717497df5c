"""obs-stylizer: a living picture in a chosen style, live, as a virtual camera."""

import os
import sys

__version__ = "0.1.0"

# Nothing leaves the machine. What reports itself to its maker is turned off here, since every
# process of ours imports this package before anything else, and once the libraries are imported
# it is too late. ONNX Runtime from 1.29 on keeps a device's number and a record of events, with
# the path of the program, for upload. OpenVINO's converter, which `import openvino` brings, sends
# an event to a web analytics service; without the package that sends, it takes a stub.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# SVT-AV1 else writes what it is on the error stream; it looks once, when it is loaded.
os.environ.setdefault("SVT_LOG", "1")
