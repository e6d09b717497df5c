"""Choosing what runs a generator where the user leaves it to us."""

from __future__ import annotations

from obs_stylizer.errors import ProviderError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.native_model import NativeModel
from obs_stylizer.inference.onnx_runtime import OnnxRuntimeSession
from obs_stylizer.inference.openvino_runtime import OpenVinoSession
from obs_stylizer.inference.session import Provider, Session, SessionOptions


def open_session(model: NativeModel, frame_size: FrameSize, options: SessionOptions) -> Session:
    """Open ``model`` for ``frame_size`` on what ``options`` asks for.

    Raises:
        ModelError: no runtime can read the model.
        ProviderError: the provider, device or precision asked for is not to be had here.
    """
    if options.provider in (Provider.AUTO, Provider.OPENVINO):
        return OpenVinoSession(model, frame_size, options)
    if options.provider is Provider.CPU:
        return OnnxRuntimeSession(model, frame_size, options)
    raise ProviderError(f"{options.provider} is not here")
