"""Generators: networks that turn a picture, or noise, into a picture."""

from __future__ import annotations

from obs_stylizer.training.generators.fast import FastGenerator
from obs_stylizer.training.recipe import GeneratorRecipe

__all__ = ["FastGenerator", "build_generator"]


def build_generator(recipe: GeneratorRecipe, styles: int = 0) -> FastGenerator:
    """Make the generator of ``recipe`` with freshly drawn weights.

    Args:
        recipe: its kind and size.
        styles: length of the style vector, 0 for none.
    """
    return FastGenerator(recipe.channels, recipe.blocks, styles)
