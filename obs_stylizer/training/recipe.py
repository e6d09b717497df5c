"""Recipes: everything that decides what a training makes, in one YAML document.

A recipe names its objective and holds one section of that name; all other sections are shared by
every objective. Paths may hold environment variables, as in ``${STYLIZER_DATA}/styles``, so that
a recipe can be given away without its data.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from obs_stylizer.documents import Section, load_document
from obs_stylizer.errors import DocumentError, TrainingError
from obs_stylizer.training.filter_recipes import FilterKind
from obs_stylizer.training.objective_recipes import (
    EnhanceRecipe,
    GenerateRecipe,
    PaintingRecipe,
    PairedRecipe,
    SegmentationRecipe,
    UnpairedRecipe,
    Weight,
)

Rate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
_NOT_IN_DIGEST = {"minutes", "checkpoint_minutes", "sample_every", "log_every"}
# Keys that came after the first recipes. Left at its default each changes nothing, so it must
# not change the digest of an older recipe either.
_LATER_OBJECTIVES = ("paired", "enhance", "unpaired", "generate", "segmentation")
_LATER_KEYS = {
    "generator": (
        "depth",
        "latent",
        "normalise",
        "correction",
        "detail",
        "gather",
        "contrast",
        "margin",
    ),
    "discriminator": ("kind", "scales"),
    "adversarial": ("gradient_penalty", "r1", "r1_every", "weight_clip", "pool", "augment"),
    "data": ("clips",),
    "temporal": ("clip_weight", "every"),
    "schedule": ("optimizer",),
    "painting": (
        "tone",
        "plain",
        "coarse",
        "margin",
        "teacher_model",
        "imitation",
        "scales",
        "content_scale",
        "skin",
        "mixes",
    ),
    "generate": ("style", "style_layers", "style_features"),
    "segmentation": ("far", "surroundings", "recoloured"),
    "paired": (
        "perceptual",
        "perceptual_layers",
        "features",
        "teacher_sizes",
        "kept_targets",
    ),
    "enhance": (
        "perceptual",
        "perceptual_layers",
        "features",
        "scratches",
        "dust",
        "fading",
    ),
}


class RecipeError(DocumentError, TrainingError):
    """A recipe does not fit its schema; file, line and key are named."""


class DataRecipe(Section):
    """Where pictures come from and how they are cut."""

    content: tuple[str, ...] = Field(min_length=1)
    """Folders (searched to the bottom) or single picture files."""
    hold_out: int = Field(default=0, ge=0)
    """Pictures of each folder that are never trained on: those whose file names have the
    smallest SHA-256, so the choice does not depend on the machine or on what is added."""
    crop: int = Field(default=192, ge=32, le=1024, multiple_of=8)
    """Side of a training sample, in pixels."""
    short_side: tuple[int, int] = (224, 448)
    """Smallest and largest short side a picture is scaled to before it is cut."""
    exposure: float = Field(default=0.25, ge=0, lt=1)
    """How far brightness and gamma of a sample may leave 1."""
    clips: tuple[str, ...] = ()
    """Folders (searched to the bottom) or single video files. The outputs of their consecutive
    frames are compared along the optical flow (see ``temporal.clip_weight``)."""

    @model_validator(mode="after")
    def _scales_hold_a_crop(self) -> Self:
        low, high = self.short_side
        if not self.crop <= low <= high:
            raise ValueError("short_side must rise and be no smaller than crop")
        return self


class GeneratorRecipe(Section):
    """Which generator is trained."""

    kind: Literal["fast", "lite", "unet", "residual", "dcgan"] = "fast"
    """fast: the real-time generator, convolution-dense at a quarter and an eighth; lite: the
    same of 32 channels and four blocks, for less than half the work; unet and residual: larger
    ones at full resolution; dcgan: from noise, for the objective ``generate``."""
    channels: int = Field(default=48, ge=4, le=512)
    """Feature maps at a quarter of the resolution (fast, lite; twice that at an eighth, half at
    a half), at the finest one (unet, residual) or at half of it (dcgan)."""
    blocks: int = Field(default=5, ge=0, le=32)
    """Residual blocks at the lowest resolution (fast, lite, residual)."""
    depth: int = Field(default=4, ge=1, le=7)
    """Levels of a unet, each of half the resolution."""
    gather: int = Field(default=1, ge=1, le=8)
    """Side of the squares of pixels gathered into channels before the first layer of a unet:
    2 does the same with a quarter of the work, for looks that leave edges where they are."""
    latent: int = Field(default=64, ge=1, le=1024)
    """Length of the noise vector (dcgan)."""
    normalise: bool = True
    """Use instance norms, which make styles strong; without them brightness is kept."""
    detail: bool = False
    """Let the frame's own pixels join in before the last layers (fast, lite): for looks that
    draw fine lines."""
    contrast: float = Field(default=0.0, ge=0, le=4)
    """How much farther than it is each pixel is moved from the mean around it before the first
    layer sees it (fast, lite): a pale sky then has something for strokes to follow. Each style
    begins with it and learns its own; 0 leaves it out for good."""
    margin: int = Field(default=0, ge=0, le=32, multiple_of=4)
    """Pixels that are put around a picture and cut off again once a generator is trained (fast,
    lite): styles paint a frame where they see a border. 8 take 7 % more work at 640x360."""
    correction: bool = False
    """Add what the network makes to the frame instead of putting it in its place."""

    @model_validator(mode="after")
    def _contrast_and_margin_where_they_are_known(self) -> GeneratorRecipe:
        for key in ("contrast", "margin"):
            if getattr(self, key) and self.kind not in ("fast", "lite"):
                raise ValueError(f"only generators of the kinds fast and lite know {key}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _size_of_lite(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("kind") == "lite":
            return {"channels": 32, "blocks": 4, **given}
        return given


class DiscriminatorRecipe(Section):
    """Which discriminator judges it."""

    kind: Literal["patch", "multi_scale", "image"] = "patch"
    """patch: judges every patch by itself; multi_scale: the same on ever smaller copies; image:
    one verdict on the whole picture."""
    scales: int = Field(default=2, ge=1, le=4)
    """Copies that multi_scale looks at, each of half the size."""
    channels: tuple[int, ...] = Field(default=(32, 64, 128), min_length=1, max_length=6)
    """Feature maps of the convolutions of stride 2."""
    spectral_norm: bool = True
    """Bound each layer's Lipschitz constant (Miyato et al. 2018)."""


class AdversarialRecipe(Section):
    """The adversarial loss and its regularization."""

    loss: Literal["bce", "least_squares", "hinge", "wasserstein"] = "hinge"
    weight: Weight = 0.1
    """Weight of the generator's adversarial loss; 0 leaves the discriminator out."""
    learning_rate: Rate = 4e-4
    betas: tuple[float, float] = (0.5, 0.99)
    steps: int = Field(default=1, ge=1, le=16)
    """Discriminator updates for each of the generator's."""
    instance_noise: float = Field(default=0.02, ge=0, le=1)
    """Standard deviation of the noise on everything the discriminator sees."""
    augment: bool = False
    """Show the discriminator real and made pictures moved, cut out and in other colours (Zhao et
    al. 2020), so that it cannot learn a handful of pictures by heart."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """One-sided: how far the label of real pictures is under 1 (bce and least_squares)."""
    gradient_penalty: Weight = 0.0
    """Weight of (|gradient| - 1)² between real and made pictures (WGAN-GP takes 10)."""
    r1: Weight = 0.0
    """Gamma of the R1 penalty: half of it times |gradient|² at real pictures."""
    r1_every: int = Field(default=1, ge=1, le=64)
    """Updates between two R1 penalties, each that much heavier: 16 costs a sixteenth and does the
    same (Karras et al. 2020)."""
    weight_clip: float = Field(default=0.0, ge=0, le=10, allow_inf_nan=False)
    """Largest size of a discriminator's weight after each update; 0 leaves them as they are."""
    pool: int = Field(default=0, ge=0, le=1000)
    """Earlier pictures that the discriminator is shown again (CycleGAN takes 50)."""


class TemporalRecipe(Section):
    """Consistency of the output under known motion of the input, and along real clips."""

    weight: Weight = 3.0
    """Weight of the difference under known motion."""
    clip_weight: Weight = 1.0
    """Weight of the difference along the optical flow of ``data.clips``, where there are any."""
    every: int = Field(default=1, ge=1, le=16)
    """Updates of a painting between two in which known motion is looked at, each that much
    heavier: it takes a fifth of the time, and every third update is enough."""
    shift: float = Field(default=6.0, ge=0, le=64)
    """Largest shift, in pixels."""
    rotation: float = Field(default=2.0, ge=0, le=45)
    """Largest rotation, in degrees."""
    zoom: float = Field(default=0.03, ge=0, lt=0.5)
    """Largest change of size, as a share."""
    noise: float = Field(default=0.03, ge=0, le=0.5)
    """Largest standard deviation of camera noise, of a range of 0 to 1."""
    flicker: float = Field(default=0.05, ge=0, le=0.5)
    """Largest change of brightness, as a share."""


class ScheduleRecipe(Section):
    """How long and how fast."""

    steps: int = Field(ge=1)
    """Generator updates."""
    minutes: float | None = Field(default=None, gt=0)
    """Wall-clock budget: the learning rate has come to its end when either this or ``steps``
    is used up. A run with a budget cannot be repeated bit for bit."""
    batch: int = Field(default=4, ge=1)
    """Samples an update is made from, over all processes and accumulated parts."""
    accumulate: int = Field(default=1, ge=1)
    """Parts an update's samples are processed in, to save memory."""
    optimizer: Literal["adam", "muon"] = "adam"
    """Of the generator. muon: orthogonalized momentum for convolutions, Adam for all else, with
    the same learning rate: a painting's losses fall about a tenth further in as many updates."""
    learning_rate: Rate = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    decay: Literal["cosine", "linear", "none"] = "cosine"
    warm_up: int = Field(default=50, ge=0)
    """Updates over which the learning rate rises from nothing."""
    clip_gradient: float = Field(default=1.0, ge=0)
    """Largest norm of the generator's gradient; 0 leaves it as it is."""
    moving_average: float = Field(default=0.999, ge=0, lt=1)
    """Share that the moving average of the generator keeps at each update."""
    checkpoint_minutes: float = Field(default=5, gt=0)
    sample_every: int = Field(default=250, ge=1)
    """Updates between two sample grids."""
    log_every: int = Field(default=20, ge=1)
    """Updates between two lines of metrics."""


class Recipe(Section):
    """A whole recipe."""

    name: str = Field(pattern=r"^[a-z0-9]+([-.][a-z0-9]+)*$")
    """Short name; the exported file is NAME.onnx."""
    title: str = ""
    licence: str = "unknown"
    author: str = ""
    training_data: str = ""
    """One sentence for the model's card."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    precision: Literal["auto", "f32", "bf16", "f16"] = "auto"
    """auto: bf16 where the processor or GPU computes with it, else f32."""
    compile: Literal["auto"] | bool = "auto"
    """yes: generators and feature networks go through torch.compile, which takes minutes at the
    start; auto: on a GPU only, because a painting's update was no quicker with it on a CPU."""
    finish: FilterKind | None = None
    """A filter that works on the generator's picture in the exported file."""
    objective: Literal["painting", "paired", "enhance", "unpaired", "generate", "segmentation"]
    painting: PaintingRecipe | None = None
    paired: PairedRecipe | None = None
    enhance: EnhanceRecipe | None = None
    unpaired: UnpairedRecipe | None = None
    generate: GenerateRecipe | None = None
    segmentation: SegmentationRecipe | None = None
    data: DataRecipe
    generator: GeneratorRecipe = GeneratorRecipe()
    discriminator: DiscriminatorRecipe = DiscriminatorRecipe()
    adversarial: AdversarialRecipe = AdversarialRecipe()
    temporal: TemporalRecipe = TemporalRecipe()
    schedule: ScheduleRecipe

    @model_validator(mode="before")
    @classmethod
    def _published_defaults(cls, given: Any) -> Any:
        """Fill in what CycleGAN and CUT were published with where a recipe says nothing."""
        if not isinstance(given, dict) or given.get("objective") != "unpaired":
            return given
        published: dict[str, Any] = {
            "loss": "least_squares",
            "weight": 1.0,
            "learning_rate": 2e-4,
            "betas": (0.5, 0.999),
            "instance_noise": 0.0,
        }
        section = given.get("unpaired")
        if isinstance(section, dict) and section.get("form", "cycle") == "cycle":
            published["pool"] = 50
        adversarial = given.get("adversarial", {})
        if isinstance(adversarial, dict):
            given = {**given, "adversarial": {**published, **adversarial}}
        return given

    @model_validator(mode="after")
    def _has_the_section_of_its_objective(self) -> Self:
        if getattr(self, self.objective) is None:
            raise ValueError(f"the objective {self.objective} needs a section of that name")
        if self.schedule.batch % self.schedule.accumulate:
            raise ValueError("schedule.batch must be a multiple of schedule.accumulate")
        if self.painting is not None and self.data.crop - 2 * self.painting.margin < 32:
            raise ValueError("painting.margin leaves less than 32 pixels of data.crop")
        if self.objective == "painting" and self.adversarial.pool:
            raise ValueError("the objective painting keeps no pool: leave out adversarial.pool")
        if self.objective in ("unpaired", "generate") and not self.adversarial.weight:
            raise ValueError(
                f"{self.objective} needs an adversarial.weight: nothing else knows the target"
            )
        return self

    @property
    def digest(self) -> str:
        """SHA-256 over the values that decide the weights.

        Comments and the order of keys do not count, nor how often something is written, nor the
        wall-clock budget: that may be changed between two sittings of a run.
        """
        left_out: dict[str, Any] = {"schedule": _NOT_IN_DIGEST, "finish": True}
        left_out |= {name: True for name in _LATER_OBJECTIVES if getattr(self, name) is None}
        if self.compile == "auto":
            left_out["compile"] = True
        for section, keys in _LATER_KEYS.items():
            values = getattr(self, section)
            if values is None:
                continue
            fields = type(values).model_fields
            unchanged = {key for key in keys if getattr(values, key) == fields[key].default}
            left_out[section] = unchanged | left_out.get(section, set())
        if self.painting is not None:
            left_out["painting"] = {
                **dict.fromkeys(left_out["painting"], True),
                "styles": {
                    name: {key for key in ("turns", "content") if getattr(style, key) == 1}
                    for name, style in self.painting.styles.items()
                },
            }
        if self.paired is not None:
            # Where something is kept changes nothing.
            left_out["paired"].add("kept_targets")
        if self.generate is not None:
            # They only judge what was trained.
            left_out["generate"].add("features")
        text = self.model_dump_json(exclude=left_out)
        return hashlib.sha256(text.encode()).hexdigest()


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        RecipeError: it is missing, no YAML, or does not fit; file, line and key are named.
    """
    return load_document(path, Recipe, RecipeError)


def expand_path(text: str) -> Path:
    """Return the path that ``text`` of a recipe means on this machine.

    Raises:
        TrainingError: it names an environment variable that is not set.
    """
    missing = [name for name in re.findall(r"\$\{(\w+)\}", text) if name not in os.environ]
    if missing:
        raise TrainingError(
            f"“{text}” needs the environment variable {missing[0]}, which is not set",
            f"set {missing[0]} to the folder that holds the data",
        )
    return Path(re.sub(r"\$\{(\w+)\}", lambda match: os.environ[match[1]], text)).expanduser()
