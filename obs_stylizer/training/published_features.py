"""The published VGG-19 of torchvision, fetched once and kept in this package's own form."""

from __future__ import annotations

import hashlib
import itertools
import logging
import pickle
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from obs_stylizer.errors import TrainingError

logger = logging.getLogger(__name__)

URL: Final = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
SHA256_PREFIX: Final = "dcbb9e9d"
"""Published as a part of the file's name."""
_BLOCK_BYTES: Final = 1 << 20
# What this package's networks take: blue, green, red, 0 to 255, less these means.
_MEAN_BGR: Final = torch.tensor([103.939, 116.779, 123.68])
# What torchvision's take: red, green, blue, 0 to 1, less this mean, over this deviation.
_MEAN_RGB: Final = torch.tensor([0.485, 0.456, 0.406])
_DEVIATION_RGB: Final = torch.tensor([0.229, 0.224, 0.225])
# Places of the convolutions in torchvision's ``features``, up to conv3_4.
PLACES: Final = {
    "conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7,
    "conv3_1": 10, "conv3_2": 12, "conv3_3": 14, "conv3_4": 16,
}  # fmt: skip


def fetch_vgg19(output: Path, url: str = URL, prefix: str = SHA256_PREFIX) -> None:
    """Download torchvision's VGG-19 (575 MB), check it, and keep what is needed (9 MB).

    Args:
        output: the ``.npz`` to write.
        url: where the weights are.
        prefix: what the hexadecimal SHA-256 of the download begins with.

    Raises:
        TrainingError: it cannot be downloaded, is not the published file, or cannot be written.
    """
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as kept:
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 (our own URL)
                for block in itertools.takewhile(
                    bool, (answer.read(_BLOCK_BYTES) for _ in itertools.count())
                ):
                    digest.update(block)
                    kept.write(block)
        except (OSError, urllib.error.URLError) as cause:
            raise TrainingError(
                f"{url} cannot be fetched: {cause}",
                "fetch it elsewhere, or name another file of weights in the recipe",
            ) from cause
        if not digest.hexdigest().startswith(prefix):
            raise TrainingError(
                f"what came from {url} is not the published file: its SHA-256 is "
                f"{digest.hexdigest()}, which does not begin with {prefix}"
            )
        kept.seek(0)
        try:
            state = torch.load(kept, map_location="cpu", weights_only=True)
            arrays = convert(state)
        except (RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as cause:
            raise TrainingError(f"{url} holds no VGG-19 of torchvision: {cause}") from cause
    part = output.with_name(output.name + ".part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        part.replace(output)
    except OSError as cause:
        part.unlink(missing_ok=True)
        raise TrainingError(f"{output} cannot be written: {cause.strerror or cause}") from cause


def convert(state: dict[str, Tensor]) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.half]]]:
    """Return torchvision's weights for the input that this package's VGG-19 takes.

    The change of order, range and mean is put into the first convolution. At the outermost pixel
    zero padding then means a colour that is 0.002 of the range away from torchvision's.

    Args:
        state: ``features.N.weight`` (out, in, 3, 3) and ``features.N.bias``.

    Returns:
        ``convB_N.weight`` and ``convB_N.bias`` in half precision.
    """
    arrays = {}
    for name, place in PLACES.items():
        weight = state[f"features.{place}.weight"].double()
        bias = state[f"features.{place}.bias"].double()
        if name == "conv1_1":
            offset = (_MEAN_BGR.flip(0) / 255 - _MEAN_RGB) / _DEVIATION_RGB
            bias = bias + (weight * offset.view(1, 3, 1, 1)).sum((1, 2, 3))
            weight = (weight / (255 * _DEVIATION_RGB).view(1, 3, 1, 1)).flip(1)
        arrays[f"{name}.weight"] = weight.numpy().astype(np.half)
        arrays[f"{name}.bias"] = bias.numpy().astype(np.half)
    return arrays
