"""Style and content losses at several sizes of the same picture.

A feature network sees a fixed number of pixels: VGG-16's conv4_1 sees 60, its conv2_2 14. Shown
the picture at half the size it sees strokes twice as broad, for a quarter of the arithmetic; the
crispness of their edges is seen only at full size, where a part of the picture is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training.features import FeatureNetwork
from obs_stylizer.training.losses.perceptual import (
    content_distance,
    gram_matrix,
    style_distance,
)
from obs_stylizer.training.objective_recipes import PaintingRecipe, StyleScaleRecipe
from obs_stylizer.training.pictures import scale_to_short_side
from obs_stylizer.training.tensors import to_tensor


class StyleScales(nn.Module):
    """Compares pictures with paintings, and with the frames they were made of, at each scale.

    Args:
        features: network of fixed weights.
        recipe: scales, layers and weights.
        paintings: the picture of each style, uint8 (H, W, 3), in the order of the style vector.
        frame: side of the pictures that will be compared.
        device: for the Gram matrices.

    Raises:
        TrainingError: the features lack a layer that is named, or a scale makes the picture
            smaller than its deepest layer can see.
    """

    def __init__(
        self,
        features: FeatureNetwork,
        recipe: PaintingRecipe,
        paintings: Sequence[Pixels],
        frame: int,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.features = features
        self.recipe = recipe
        self.scales = recipe.style_scales
        features.check_names(recipe.content_layers)
        for entry in self.scales:
            features.check_names(entry.layers)
            _check_size(entry.layers, round(frame * entry.scale), entry.crop, entry.scale)
        _check_size(
            recipe.content_layers, round(frame * recipe.content_scale), None, recipe.content_scale
        )
        styles = list(recipe.styles.values())
        self._style_weights = torch.tensor([style.weight for style in styles], device=device)
        self._content_weights = torch.tensor([style.content for style in styles], device=device)
        self._grams = [
            self._measure(
                entry,
                [
                    scale_to_short_side(
                        painting, entry.picture_size or max(16, round(style.size * entry.scale))
                    )
                    for style, painting in zip(styles, paintings, strict=True)
                ],
                device,
            )
            for entry in self.scales
        ]

    def forward(
        self, made: Tensor, seen: Tensor, mix: Tensor, seeds: Sequence[int]
    ) -> dict[str, Tensor]:
        """Return ``style`` and ``content``, scalars, not yet weighted against each other.

        Args:
            made: the generator's pictures, float (B, 3, H, W), 0 to 1.
            seen: the frames they were made of, the same shape.
            mix: weights of the styles, (B, S); a mixture is compared with the same mixture of the
                paintings' Gram matrices.
            seeds: one for each picture, for the places of crops.
        """
        recipe = self.recipe
        shares, contents = mix @ self._style_weights, mix @ self._content_weights
        content: Tensor | None = None
        styles = []
        for entry, grams in zip(self.scales, self._grams, strict=True):
            with_content = (
                content is None and entry.scale == recipe.content_scale and entry.crop is None
            )
            picture = cut(shrink(made, entry.scale), entry.crop, seeds)
            wanted_layers = {*entry.layers, *(recipe.content_layers if with_content else ())}
            found = self.features(picture, wanted_layers)
            if with_content:
                content = self._content(found, seen, contents)
            distances = [
                weight * style_distance(gram_matrix(found[layer]), _mixed(gram, mix))
                for (layer, weight), gram in zip(entry.layers.items(), grams, strict=True)
            ]
            styles.append(entry.weight * (torch.stack(distances).sum(0) * shares).mean())
        if content is None:
            found = self.features(shrink(made, recipe.content_scale), recipe.content_layers)
            content = self._content(found, seen, contents)
        return {"style": torch.stack(styles).sum(), "content": content}

    def _content(self, found: Mapping[str, Tensor], seen: Tensor, shares: Tensor) -> Tensor:
        recipe = self.recipe
        with torch.no_grad():
            small = shrink(seen, recipe.content_scale)
            wanted = self.features(small, recipe.content_layers)
        distances = []
        for layer, weight in recipe.content_layers.items():
            emphasis = None
            if recipe.skin:
                mask = F.adaptive_avg_pool2d(skin_mask(small), wanted[layer].shape[-2:])
                emphasis = 1 + recipe.skin * mask
            distances.append(weight * content_distance(found[layer], wanted[layer], emphasis))
        return (torch.stack(distances).sum(0) * shares).mean()

    @torch.no_grad()
    def _measure(
        self, entry: StyleScaleRecipe, paintings: Sequence[Pixels], device: torch.device
    ) -> list[Tensor]:
        """Return the Gram matrices of every style, (S, C, C), for each layer of a scale."""
        grams: list[list[Tensor]] = [[] for _ in entry.layers]
        for painting in paintings:
            found = self.features(to_tensor([painting]).to(device), entry.layers)
            for kept, layer in zip(grams, entry.layers, strict=True):
                kept.append(gram_matrix(found[layer])[0])
        return [torch.stack(kept) for kept in grams]


def shrink(pictures: Tensor, scale: float) -> Tensor:
    """Return (B, 3, H, W) at ``scale`` of the size, averaged over the area of each new pixel."""
    if scale == 1:
        return pictures
    factor = round(1 / scale)
    if abs(factor * scale - 1) < 1e-6 and not any(side % factor for side in pictures.shape[-2:]):
        return F.avg_pool2d(pictures, factor)
    size = [max(1, round(side * scale)) for side in pictures.shape[-2:]]
    return F.interpolate(pictures, size=size, mode="bilinear", antialias=True)


def cut(pictures: Tensor, side: int | None, seeds: Sequence[int]) -> Tensor:
    """Return a square of each picture, (B, 3, side, side), at a place that its seed decides."""
    height, width = pictures.shape[-2:]
    if side is None or side >= min(height, width):
        return pictures
    rows, columns = height - side + 1, width - side + 1
    squares = []
    for picture, seed in zip(pictures, seeds, strict=True):
        top, left = seed % rows, seed // rows % columns
        squares.append(picture[:, top : top + side, left : left + side])
    return torch.stack(squares)


def skin_mask(pictures: Tensor) -> Tensor:
    """Return 1 where (B, 3, H, W), 0 to 1, has a colour that skin may have: (B, 1, H, W).

    The range of chroma of Chai and Ngan 1999, "Face segmentation using skin-color map in
    videophone applications" (77 <= Cb <= 127, 133 <= Cr <= 173), which skin of every darkness
    shares.
    """
    red, green, blue = (pictures.float() * 255).unbind(1)
    blueness = 128 - 0.168736 * red - 0.331264 * green + 0.5 * blue
    redness = 128 + 0.5 * red - 0.418688 * green - 0.081312 * blue
    inside = (blueness >= 77) & (blueness <= 127) & (redness >= 133) & (redness <= 173)
    return inside[:, None].float()


def _mixed(grams: Tensor, mix: Tensor) -> Tensor:
    """Return the mixtures (B, C, C) of Gram matrices (S, C, C)."""
    with torch.autocast(grams.device.type, enabled=False):
        return torch.einsum("bs,scd->bcd", mix.float(), grams)


def _check_size(layers: Mapping[str, float], side: int, crop: int | None, scale: float) -> None:
    """Refuse a picture of which the deepest layer has hardly a place left to compare."""
    compared = min(side, crop or side)
    # Every block of a network of this kind halves the picture once more.
    blocks = max((int(name[4]) for name in layers if name.startswith("conv")), default=1)
    if compared >> (blocks - 1) < 4:
        raise TrainingError(
            f"at scale {scale:g} pictures of {compared} pixels are compared, too few for the "
            f"layer {max(layers)}",
            f"enlarge data.crop, the scale or its crop to {4 << (blocks - 1)} pixels or more, or "
            "name a lower layer",
        )
