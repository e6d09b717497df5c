"""Starting a training from the weights of another run or of an exported generator."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from obs_stylizer.errors import TrainingError
from obs_stylizer.training.export import EXPORTED
from obs_stylizer.training.exported_weights import read_spec, weights_of
from obs_stylizer.training.generators import build_generator
from obs_stylizer.training.recipe import Recipe
from obs_stylizer.training.run_directory import RunDirectory

logger = logging.getLogger(__name__)


def load_from_run(
    networks: Mapping[str, nn.Module], recipe: Recipe, other: RunDirectory, device: torch.device
) -> dict[str, Any]:
    """Give ``networks`` the weights of another run's newest checkpoint.

    Styles are carried over by their names; one that the other run did not know begins as the
    mean of all. Discriminators begin anew where only one of the two runs has any.

    Args:
        networks: generators, discriminators and average, by these names.
        recipe: of the run that they belong to.
        other: the run to take from.
        device: to load on.

    Returns:
        What was taken, as plain values.

    Raises:
        TrainingError: the other run has no checkpoint, or its networks are of another shape.
    """
    state = other.load_checkpoint(device)
    old, new = _styles_of(other.recipe), _styles_of(recipe)
    try:
        for part, network in networks.items():
            wanted = network.state_dict()
            if not state[part] or not wanted:
                logger.info("%s: there are none to take over", part)
                continue
            saved = state[part]
            if recipe.segmentation is not None:
                saved = widened(saved, wanted)
            network.load_state_dict(carry_styles(saved, wanted, old, new))
    except RuntimeError as cause:
        raise TrainingError(
            f"the networks of {other.path} have another shape than {recipe.name}'s",
            "both recipes need the same generator and discriminator",
        ) from cause
    return {
        "recipe": other.recipe.name,
        "recipe_hash": other.recipe.digest,
        "step": state["step"],
    }


def load_from_model(
    networks: Sequence[nn.ModuleDict], recipe: Recipe, path: Path
) -> dict[str, Any]:
    """Give the exported one of ``networks`` the weights of a native generator's file.

    Returns:
        What was taken, as plain values.

    Raises:
        TrainingError: the file's generator is of another shape, or has no trained weights.
        ModelError: the file is no native generator.
    """
    spec = read_spec(path)
    name = EXPORTED.get(recipe.objective)
    if name is None:
        raise TrainingError(
            f"a training of the kind {recipe.objective} cannot start from a model",
            "start it from a run directory",
        )
    weights = weights_of(path, build_generator(recipe.generator, len(spec.styles)))
    for group in networks:
        network = group[name]
        network.load_state_dict(
            carry_styles(weights, network.state_dict(), spec.styles, _styles_of(recipe))
        )
    return {"model": spec.name, "recipe_hash": spec.recipe_hash}


def carry_styles(
    saved: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    old: Sequence[str],
    new: Sequence[str],
) -> dict[str, Tensor]:
    """Return ``saved`` with a row for each of the ``new`` styles where it had one for each old.

    A style that both have keeps its row; one that is new begins as the mean of all.

    Args:
        saved: weights of a network that knows the ``old`` styles, in their order.
        wanted: weights of the network that they are meant for, for their shapes.
        old: names of the styles.
        new: likewise.
    """
    carried = {}
    for name, weights in saved.items():
        shape = wanted[name].shape if name in wanted else weights.shape
        by_style = (
            weights.ndim > 0
            and list(old) != list(new)
            and weights.shape[0] == len(old)
            and tuple(shape) == (len(new), *weights.shape[1:])
        )
        if by_style:
            mean = weights.mean(dim=0)
            rows = [weights[old.index(style)] if style in old else mean for style in new]
            weights = torch.stack(rows)
        carried[name] = weights
    return carried


def widened(saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``saved`` brought to the shapes of ``wanted``, where those are larger.

    The wider network does at first what the narrower one did (Chen et al. 2016, "Net2Net"): its
    further channels begin at random, and nothing that was there before listens to them yet.

    Args:
        saved: weights of a network of plain and transposed convolutions and batch norms, whose
            further channels come last.
        wanted: freshly drawn weights of the wider one.
    """
    made = dict(saved)
    for name, fresh in wanted.items():
        old = saved.get(name)
        if old is None or old.shape == fresh.shape or old.ndim != fresh.ndim:
            continue
        if any(few > many for few, many in zip(old.shape, fresh.shape, strict=True)):
            continue
        grown = fresh.clone()
        if grown.ndim > 1:
            grown[: old.shape[0]] = 0
        grown[tuple(slice(size) for size in old.shape)] = old
        made[name] = grown
    return made


def _styles_of(recipe: Recipe) -> tuple[str, ...]:
    return () if recipe.painting is None else tuple(recipe.painting.styles)
