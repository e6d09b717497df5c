"""A run directory: everything from which a training can be judged, resumed and repeated.

=====================  ========================================================================
``recipe.yaml``        the recipe, as it was given
``run.json``           seed, recipe hash, package versions, machine
``metrics.jsonl``      one line of figures every few updates
``samples/``           grids of held-out pictures
``checkpoints/``       ``latest.pt``: weights, optimizers, moving average
``events/``            the same figures and grids for TensorBoard
=====================  ========================================================================
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import pickle
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import cv2
import torch

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training.recipe import Recipe, load_recipe

logger = logging.getLogger(__name__)

CHECKPOINT_FORMAT: Final = 1
_PACKAGES = ("obs-stylizer", "torch", "numpy", "opencv-python-headless", "opencv-python", "onnx")


class RunDirectory:
    """A run directory on disk.

    Attributes:
        path: the folder.
        recipe: the recipe it holds.
    """

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path = path
        self.recipe = recipe

    @classmethod
    def create(cls, path: Path, recipe_path: Path) -> RunDirectory:
        """Make a new run directory for the recipe at ``recipe_path``.

        One that failed before its first figures is begun anew.

        Raises:
            RecipeError: the recipe does not fit.
            TrainingError: ``path`` holds a run already, or cannot be written.
        """
        recipe = load_recipe(recipe_path)
        if (path / "metrics.jsonl").exists() or any((path / "checkpoints").glob("*")):
            raise TrainingError(
                f"{path} already holds a run", f"go on with: obs-stylizer resume {path}"
            )
        try:
            for folder in ("samples", "checkpoints", "events"):
                (path / folder).mkdir(parents=True, exist_ok=True)
            (path / "recipe.yaml").write_bytes(recipe_path.read_bytes())
            write_atomically(
                path / "run.json", json.dumps(_circumstances(recipe), indent=2).encode()
            )
        except OSError as cause:
            raise TrainingError(f"{path} cannot be written: {cause.strerror or cause}") from cause
        return cls(path, recipe)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Open an existing run directory.

        Raises:
            TrainingError: ``path`` holds no run, or its recipe no longer fits.
        """
        if not (path / "recipe.yaml").is_file():
            raise TrainingError(f"{path} is no run directory", "start one with: obs-stylizer train")
        return cls(path, load_recipe(path / "recipe.yaml"))

    def note(self, facts: dict[str, Any]) -> None:
        """Add ``facts`` to ``run.json``."""
        path = self.path / "run.json"
        known = json.loads(path.read_text(encoding="utf-8"))
        write_atomically(path, json.dumps({**known, **facts}, indent=2).encode())

    @property
    def checkpoint(self) -> Path:
        """The newest checkpoint."""
        return self.path / "checkpoints" / "latest.pt"

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Write ``state`` as the newest checkpoint, whole or not at all.

        Raises:
            TrainingError: it cannot be written; the checkpoint before it is still there.
        """
        state = {
            **state,
            "format": CHECKPOINT_FORMAT,
            "recipe_hash": self.recipe.digest,
            "recipe_name": self.recipe.name,
        }
        part = self.checkpoint.with_suffix(".part")
        try:
            with part.open("wb") as stream:
                torch.save(state, stream)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(self.checkpoint)
        except (OSError, RuntimeError) as cause:
            part.unlink(missing_ok=True)
            raise TrainingError(
                f"the checkpoint {self.checkpoint} cannot be written: {cause}",
                "the one before it is intact; make room and resume",
            ) from cause

    def load_checkpoint(self, device: torch.device) -> dict[str, Any]:
        """Return the newest checkpoint with its tensors on ``device``.

        Raises:
            TrainingError: there is none, it is damaged, or it belongs to another recipe.
        """
        path = self.checkpoint
        try:
            state = torch.load(path, map_location=device, weights_only=True)
        except FileNotFoundError:
            raise TrainingError(f"{self.path} has no checkpoint yet") from None
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as cause:
            raise TrainingError(
                f"the checkpoint {path} is damaged or cut off", "take an older copy of the run"
            ) from cause
        if not isinstance(state, dict) or state.get("format") != CHECKPOINT_FORMAT:
            raise TrainingError(f"{path} is no checkpoint of this version")
        if state["recipe_hash"] != self.recipe.digest:
            raise TrainingError(
                f"the checkpoint {path} is of the recipe {state['recipe_name']} "
                f"({state['recipe_hash'][:12]}), but the run's recipe is {self.recipe.name} "
                f"({self.recipe.digest[:12]})",
                "a changed recipe needs a new run",
            )
        return _with_todays_names(state)

    def save_samples(self, step: int, grid: Pixels) -> Path:
        """Write a sample grid and return its path."""
        path = self.path / "samples" / f"step_{step:06d}.png"
        encoded = cv2.imencode(".png", cv2.cvtColor(grid, cv2.COLOR_RGB2BGR))[1]
        write_atomically(path, encoded.tobytes())
        return path


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, whole."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _circumstances(recipe: Recipe) -> dict[str, Any]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "recipe": recipe.name,
        "recipe_hash": recipe.digest,
        "seed": recipe.seed,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": versions,
        "machine": platform.platform(),
        "processor_cores": os.cpu_count(),
        "gpu": gpu,
    }


def _with_todays_names(state: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint with the names of parts that older ones had other names for."""
    old = {"makers": "generator_optimizer", "judges": "discriminator_optimizer"}
    named = {old.get(name, name): part for name, part in state.items()}
    named["discriminators"] = {
        name.replace(".judges.", ".scales."): weights
        for name, weights in state.get("discriminators", {}).items()
    }
    return named
