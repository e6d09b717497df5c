"""Looks that need no training: what is printed of a frame, or of another generator's picture."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import onnx
import onnx.compose
import onnxruntime
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from obs_stylizer.documents import Section, load_document
from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.model_spec import FRAME_INPUT, OUTPUT, ModelSpec, spec_of, write_spec
from obs_stylizer.training.export import PARITY_SIZES, to_onnx
from obs_stylizer.training.native import FrameNetwork
from obs_stylizer.training.pictures import fit_frame

LARGEST_SHARE: Final = 0.002
"""Of pixels that ONNX Runtime may print in another colour than torch: those half-way between."""

Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


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


class PrintRecipe(Section):
    """A printed look: what it is called, and what is done."""

    name: str = Field(pattern=r"^[a-z0-9]+([-.][a-z0-9]+)*$")
    title: str = ""
    licence: str = "unknown"
    author: str = ""
    training_data: str = ""
    objective: Literal["print"]
    over: str = ""
    """File of the generator whose picture is printed, beside the recipe; empty: the frame."""
    halftone: HalftoneRecipe | None = None
    blocks: BlocksRecipe | None = None


class HalftonePrint(FrameNetwork):
    """Prints a picture in flat inks, with dots of the next ink where it lies between two.

    The screen has an angle of 45 degrees and a dot every 5.7 pixels: two in each square of eight.

    Args:
        recipe: its inks and how they are chosen.
    """

    size_multiple = 8
    styles = 0
    inks: Tensor
    opponents: Tensor
    screen: Tensor

    def __init__(self, recipe: HalftoneRecipe) -> None:
        super().__init__()
        inks = _colours(recipe.inks)
        self.contrast, self.chroma = recipe.contrast, recipe.chroma
        self.register_buffer("inks", (inks * 255).round().to(torch.uint8))
        self.register_buffer("opponents", _opponent(inks[None, None])[0, 0])
        self.register_buffer("screen", _screen() / max(recipe.dot, 1e-6))

    def forward(self, frame: Tensor) -> Tensor:
        """Print uint8 (1, H, W, 3), sides multiples of eight, into the same shape."""
        _, height, width, _ = frame.shape
        # The mean of three by three, so that noise chooses no ink.
        smooth = F.avg_pool2d(
            frame.permute(0, 3, 1, 2).float() / 255, 3, 1, 1, count_include_pad=False
        )
        colours = _opponent(smooth.permute(0, 2, 3, 1))
        colours = _strengthen(colours, self.contrast, self.chroma)
        distances = _distances(colours.reshape(-1, 3), self.opponents)
        nearest = distances.amin(1, keepdim=True)
        first = distances.argmin(1)
        others = distances + 1e3 * (distances <= nearest)
        next_ = others.amin(1)
        second = others.argmin(1)
        near, far = nearest[:, 0].clamp(min=0).sqrt(), next_.clamp(min=0).sqrt()
        # 0 on an ink itself, 1 half-way between two.
        between = 2 * near / (near + far + 1e-6)
        radius = ((between - 0.35) / 0.65).clamp(0, 1).reshape(height // 8, 8, width // 8, 8)
        dotted = (self.screen[None, :, None] < radius).reshape(-1)
        return self.inks[torch.where(dotted, second, first)].reshape(1, height, width, 3)


class BlocksPrint(FrameNetwork):
    """Paints squares in the nearest colour of a palette, dithered by two by two.

    Args:
        recipe: the palette and how its colours are chosen.
    """

    styles = 0
    palette: Tensor
    opponents: Tensor
    pattern: Tensor

    def __init__(self, recipe: BlocksRecipe) -> None:
        super().__init__()
        palette = _colours(recipe.palette)
        self.side = recipe.side
        self.size_multiple = 2 * recipe.side
        self.contrast, self.chroma = recipe.contrast, recipe.chroma
        self.register_buffer("palette", (palette * 255).round().to(torch.uint8))
        self.register_buffer("opponents", _opponent(palette[None, None])[0, 0])
        bayer = torch.tensor([[0.0, 2.0], [3.0, 1.0]]) / 4 - 0.375
        self.register_buffer("pattern", recipe.dither * bayer)

    def forward(self, frame: Tensor) -> Tensor:
        """Paint uint8 (1, H, W, 3), sides multiples of two blocks, into the same shape."""
        _, height, width, _ = frame.shape
        side = self.side
        rows, columns = height // side, width // side
        means = F.avg_pool2d(frame.permute(0, 3, 1, 2).float() / 255, side).permute(0, 2, 3, 1)
        colours = _strengthen(_opponent(means), self.contrast, self.chroma)
        light, others = colours[..., :1], colours[..., 1:]
        apart = light.reshape(rows // 2, 2, columns // 2, 2) + self.pattern[None, :, None]
        colours = torch.cat([apart.reshape(1, rows, columns, 1), others], 3)
        chosen = _distances(colours.reshape(-1, 3), self.opponents).argmin(1)
        painted = self.palette[chosen].reshape(rows, 1, columns, 1, 3)
        return painted.expand(rows, side, columns, side, 3).reshape(1, height, width, 3)


def load_print_recipe(path: Path) -> PrintRecipe:
    """Read a recipe of the objective ``print``.

    Raises:
        DocumentError: it cannot be read, or is no such recipe.
    """
    return load_document(path, PrintRecipe)


def export_print(path: Path, output: Path, pictures: Sequence[Pixels]) -> list[float]:
    """Write the generator of a print recipe, and beside it, where there is one, its int8 form.

    Args:
        path: the recipe; a generator that it prints over is looked for beside it.
        output: ends in ``.onnx``.
        pictures: real ones, uint8 (height, width, 3), to compare ONNX Runtime with torch on.

    Returns:
        The share of pixels that the print alone gives another colour in ONNX Runtime than in
        torch, at each of the sizes that are compared.

    Raises:
        TrainingError: the recipe names no print or two, or a generator that is not there, or
            torch and ONNX Runtime disagree.
    """
    recipe = load_print_recipe(path)
    if (recipe.halftone is None) == (recipe.blocks is None):
        raise TrainingError(f"{path}: give either halftone or blocks", "leave out the other")
    printing: HalftonePrint | BlocksPrint
    if recipe.halftone is not None:
        printing = HalftonePrint(recipe.halftone)
    else:
        assert recipe.blocks is not None
        printing = BlocksPrint(recipe.blocks)
    model = to_onnx(printing.eval())
    shares = [_differing(printing, model, pictures, size) for size in PARITY_SIZES]
    bases: list[tuple[Path | None, Path]] = [(None, output)]
    if recipe.over:
        base = path.parent / recipe.over
        if not base.exists():
            raise TrainingError(f"{path}: there is no {base}", "export that one first")
        small = base.with_name(f"{base.stem}.int8.onnx")
        bases = [(base, output)]
        if small.exists():
            bases.append((small, output.with_name(f"{output.stem}.int8.onnx")))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for base_file, target in bases:
        below = None if base_file is None else onnx.load(base_file)
        spec = None
        if below is not None and base_file is not None:
            spec = spec_of(below, base_file)
            if spec.styles:
                raise TrainingError(f"{base_file} mixes styles", "print over one that has none")
        made = model if below is None else _joined(below, model)
        write_spec(made, _describe(recipe, digest, printing.size_multiple, spec))
        onnx.checker.check_model(made)
        onnx.save(made, target)
    return shares


def _differing(
    printing: HalftonePrint | BlocksPrint,
    model: onnx.ModelProto,
    pictures: Sequence[Pixels],
    size: FrameSize,
) -> float:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    multiple, shares = printing.size_multiple, []
    fitting = FrameSize(size.width // multiple * multiple, size.height // multiple * multiple)
    for picture in pictures:
        frame = fit_frame(picture, fitting)[None]
        made = session.run([OUTPUT], {FRAME_INPUT: frame})[0]
        wanted = printing(torch.from_numpy(frame)).numpy()
        shares.append(float((made != wanted).any(-1).mean()))
    if max(shares) > LARGEST_SHARE:
        raise TrainingError(
            f"ONNX Runtime prints {100 * max(shares):.1f} % of the pixels at {size} otherwise "
            "than torch",
            "the exported graph does not do what the recipe says",
        )
    return max(shares)


def _joined(below: onnx.ModelProto, printing: onnx.ModelProto) -> onnx.ModelProto:
    """Return one graph that prints what ``below`` makes."""
    upper = onnx.compose.add_prefix(printing, "print_")
    lower = onnx.compose.add_prefix(below, "below_", rename_inputs=False, rename_outputs=False)
    upper.ir_version = lower.ir_version
    made: onnx.ModelProto = onnx.compose.merge_models(
        lower, upper, [(OUTPUT, f"print_{FRAME_INPUT}")]
    )
    # Inside it carries another name, so that the whole can have this one.
    for node in made.graph.node:
        for names in (node.input, node.output):
            for number, name in enumerate(names):
                if name == OUTPUT:
                    names[number] = "below_picture"
                elif name == f"print_{OUTPUT}":
                    names[number] = OUTPUT
    made.graph.output[0].name = OUTPUT
    del made.graph.value_info[:]
    del made.metadata_props[:]
    return made


def _describe(
    recipe: PrintRecipe, digest: str, multiple: int, below: ModelSpec | None
) -> ModelSpec:
    return ModelSpec(
        name=recipe.name,
        title=recipe.title,
        licence=recipe.licence,
        author=recipe.author,
        recipe_hash=digest,
        size_multiple=multiple if below is None else math.lcm(multiple, below.size_multiple),
        training_data=recipe.training_data,
        precision="f32" if below is None else below.precision,
        # Dots and blocks stay where they are while what they show moves.
        coherence=0.0,
        enlarging="nearest" if recipe.blocks is not None else "smooth",
    )


def _colours(names: Sequence[str]) -> Tensor:
    """Return (C, 3), 0 to 1, of ``#rrggbb``."""
    return torch.tensor([[int(n[i : i + 2], 16) / 255 for i in (1, 3, 5)] for n in names])


def _opponent(pixels: Tensor) -> Tensor:
    """Return (..., 3) as lightness and two differences of colour, of about the eye's weights.

    Y'CbCr of BT.601: one product of matrices, and near enough to choose among few colours.
    """
    matrix = torch.tensor(
        [[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], device=pixels.device
    )
    return pixels @ matrix.T


def _strengthen(colours: Tensor, contrast: float, chroma: float) -> Tensor:
    scale = torch.tensor([contrast, chroma, chroma])
    shift = torch.tensor([0.5 * (1 - contrast), 0.0, 0.0])
    return colours * scale + shift


def _distances(colours: Tensor, others: Tensor) -> Tensor:
    """Return squared distances (N, C) of colours (N, 3) and (C, 3)."""
    return (
        colours.square().sum(1, keepdim=True)
        - 2 * colours @ others.T
        + others.square().sum(1)[None]
    )


def _screen() -> Tensor:
    """Return (8, 8): distance from the middle of the nearest dot, in distances between dots."""
    places = torch.arange(8.0) + 0.5
    rows, columns = torch.meshgrid(places, places, indexing="ij")
    found = [
        torch.hypot((rows - top + 4) % 8 - 4, (columns - left + 4) % 8 - 4)
        for top, left in ((2.0, 2.0), (6.0, 6.0))
    ]
    return torch.minimum(*found) / math.sqrt(32)
