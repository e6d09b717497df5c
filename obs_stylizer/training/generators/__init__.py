"""Generators: networks that turn a picture, or noise, into a picture."""

from __future__ import annotations

from obs_stylizer.errors import TrainingError
from obs_stylizer.training.generators.base import (
    Correction,
    GatheringGenerator,
    PictureGenerator,
)
from obs_stylizer.training.generators.dcgan import LatentGenerator
from obs_stylizer.training.generators.fast import FastGenerator
from obs_stylizer.training.generators.residual import ResidualGenerator
from obs_stylizer.training.generators.unet import UNetGenerator
from obs_stylizer.training.recipe import GeneratorRecipe

__all__ = [
    "Correction",
    "FastGenerator",
    "GatheringGenerator",
    "LatentGenerator",
    "PictureGenerator",
    "ResidualGenerator",
    "UNetGenerator",
    "build_generator",
    "build_latent_generator",
]


def build_generator(recipe: GeneratorRecipe, styles: int = 0) -> PictureGenerator:
    """Make the picture-to-picture generator of ``recipe`` with freshly drawn weights.

    Args:
        recipe: its kind and size.
        styles: length of the style vector, 0 for none.

    Raises:
        TrainingError: the recipe's kind makes pictures from noise.
    """
    channels, blocks, normalise = recipe.channels, recipe.blocks, recipe.normalise
    made: PictureGenerator
    if recipe.kind in ("fast", "lite"):
        made = FastGenerator(
            channels, blocks, styles, normalise, recipe.detail, recipe.contrast, recipe.margin
        )
    elif recipe.kind == "unet":
        made = UNetGenerator(channels, recipe.depth, styles, normalise, recipe.gather)
    elif recipe.kind == "residual":
        made = ResidualGenerator(channels, blocks, styles, normalise)
    else:
        raise TrainingError(f"a generator of the kind {recipe.kind} turns no picture into another")
    return Correction(made) if recipe.correction else made


def build_latent_generator(recipe: GeneratorRecipe, size: int) -> LatentGenerator:
    """Make the generator of ``recipe`` that turns noise into pictures of side ``size``.

    Raises:
        TrainingError: the recipe's kind turns pictures into pictures, or ``size`` does not suit.
    """
    if recipe.kind != "dcgan":
        raise TrainingError(
            f"a generator of the kind {recipe.kind} makes no picture from noise",
            "set generator.kind to dcgan",
        )
    try:
        return LatentGenerator(recipe.latent, recipe.channels, size)
    except ValueError as cause:
        raise TrainingError(str(cause), "set data.crop to 32, 64, 128 or 256") from cause
