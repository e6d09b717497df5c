"""What a filter is made of: inks, palettes, brushes and paper."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from obs_stylizer.documents import Section

Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
Radii = Annotated[tuple[Annotated[int, Field(ge=2, le=16)], ...], Field(min_length=1, max_length=4)]
_KINDS: Final = ("halftone", "blocks", "oil", "watercolour")


class HalftoneRecipe(Section):
    """Flat inks, and dots of a fixed screen for what lies between two of them."""

    inks: Annotated[tuple[Colour, ...], Field(min_length=2, max_length=32)]
    contrast: float = Field(default=1.15, gt=0, le=4)
    """Lightness is spread by this around the middle before an ink is chosen."""
    chroma: float = Field(default=1.9, ge=0, le=4)
    """Colours are made this many times as strong before an ink is chosen."""
    dot: float = Field(default=0.42, ge=0, le=0.5)
    """Radius of the largest dot, in distances between dots."""


class BlocksRecipe(Section):
    """Blocks of constant size in the colours of a fixed palette."""

    palette: Annotated[tuple[Colour, ...], Field(min_length=2, max_length=256)]
    side: int = Field(default=4, ge=2, le=32)
    """Of a block, in pixels of the process size."""
    contrast: float = Field(default=1.1, gt=0, le=4)
    chroma: float = Field(default=1.3, ge=0, le=4)
    dither: float = Field(default=0.06, ge=0, le=0.5)
    """How far neighbours are drawn apart before a colour is chosen, in whole lightnesses."""


class OilRecipe(Section):
    """Patches of even colour with clean borders, as a flat brush leaves them."""

    radii: Radii = (4, 5)
    """Of the brush in each pass, in pixels of the process size."""
    contrast: float = Field(default=1.1, gt=0, le=4)
    chroma: float = Field(default=1.35, ge=0, le=4)
    relief: float = Field(default=0.5, ge=0, le=2)
    """How strongly light from above and the left shows the borders of patches."""


class WatercolourRecipe(Section):
    """Thin washes on paper: darker where they dried last, uneven where pigment settled."""

    radii: Radii = (4, 4)
    lightness: float = Field(default=0.22, ge=0, le=0.9)
    """Share of the way to white paper."""
    chroma: float = Field(default=1.5, ge=0, le=4)
    wet_edges: float = Field(default=1.2, ge=0, le=8)
    """How much darker a wash is at its border."""
    granulation: float = Field(default=0.16, ge=0, le=2)
    """How unevenly pigment settles: blots, and the grain of the paper."""


class FilterKind(Section):
    """Exactly one filter."""

    halftone: HalftoneRecipe | None = None
    blocks: BlocksRecipe | None = None
    oil: OilRecipe | None = None
    watercolour: WatercolourRecipe | None = None

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in _KINDS) != 1:
            raise ValueError(f"give exactly one of {', '.join(_KINDS)}")
        return self

    @property
    def keeps_in_half(self) -> bool:
        """Whether bfloat16 leaves it as it is: differences of squares do not survive that."""
        return self.oil is None and self.watercolour is None


class FilterRecipe(FilterKind):
    """What a filter is called, and which of the kinds it is."""

    name: str = Field(pattern=r"^[a-z0-9]+([-.][a-z0-9]+)*$")
    title: str = ""
    licence: str = "unknown"
    author: str = ""
    training_data: str = ""
    objective: Literal["filter"]
    over: str = ""
    """File of the generator whose picture is filtered, beside the recipe; empty: the frame."""
