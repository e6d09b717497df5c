"""Where a daemon keeps the pictures of a style that it is learning."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from obs_stylizer.settings import runtime_folder

THUMBNAIL: Final = "thumbnail.jpg"
"""The live picture in the style as it was learnt so far."""
PREVIEW: Final = "live.jpg"
"""The live picture without any style."""
PICTURE: Final = "picture"
"""What was sent to be learnt from."""


def learning_folder() -> Path:
    """Return the folder of this process; it may not exist, and is removed at the end."""
    return runtime_folder() / f"learning-{os.getpid()}"
