"""The sections of a recipe that belong to one objective each."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from obs_stylizer.documents import Section

Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
VGG19_FILE = "${STYLIZER_DATA}/features/vgg19_to_conv3_4_f16.npz"
VGG16_FILE = "${STYLIZER_DATA}/features/vgg16_to_conv5_1_f16.npz"
SQUEEZENET_FILE = "${STYLIZER_DATA}/features/squeezenet1_0.npz"
Share = Annotated[float, Field(ge=0, le=1)]
MaskSide = Annotated[int, Field(ge=32, le=1024, multiple_of=16)]
StyleName = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class StyleRecipe(Section):
    """One style of a painting generator."""

    picture: str
    size: int = Field(default=320, ge=64, le=2048)
    """Short side the picture is scaled to: a larger one makes larger strokes. 512 gives a frame
    of 640x360 strokes somewhat broader than the picture has at the same width."""
    weight: Weight = 1.0
    """Multiplies the style loss of this style."""
    content: Weight = 1.0
    """Multiplies the content loss of this style: a picture of strong shapes needs more to leave
    a face a face."""
    turns: int = Field(default=1, ge=1, le=20)
    """Samples it gets where another gets one."""


class StyleScaleRecipe(Section):
    """One size at which the generator's picture is compared with the paintings."""

    scale: float = Field(default=1.0, gt=0, le=1)
    """Size of the compared picture, as a share of the frame's. At a half the same features see
    twice as far, for a quarter of the time: broad strokes and planes are asked for there, the
    crispness of edges at 1."""
    layers: dict[str, Weight] = Field(min_length=1)
    """Layers whose Gram matrices are compared, and the weight of each."""
    weight: Weight = 1.0
    """Multiplies all of them."""
    picture_size: int | None = Field(default=None, ge=16, le=2048)
    """Short side of the painting at this scale; left out: ``size`` of the style times ``scale``,
    which is the same painting in the same place."""
    crop: int | None = Field(default=None, ge=16, le=1024, multiple_of=8)
    """Side of the square that is compared, cut anew from each picture; left out: all of it."""


_OLD_LAYERS = {"conv1_2": 1.0, "conv2_2": 1.0, "conv3_1": 1.0, "conv3_3": 1.0}


class PaintingRecipe(Section):
    """Styles of pictures in one feed-forward generator (Johnson et al. 2016; Dumoulin 2017)."""

    styles: dict[StyleName, StyleRecipe] = Field(min_length=1)
    """Name and picture of each style, in the order of the style vector."""
    features: str = VGG19_FILE
    """Weights of VGG-16 or VGG-19."""
    scales: tuple[StyleScaleRecipe, ...] = ()
    """Where and on what the style is compared. Left out: as ``style_layers`` and ``coarse`` of
    older recipes say."""
    style_layers: dict[str, Weight] = Field(default=_OLD_LAYERS, min_length=1)
    """Older form of ``scales``: layers compared at full size."""
    coarse: Weight = 0.0
    """Older form of ``scales``: weight of the same layers at half the size."""
    content_layers: dict[str, Weight] = Field(
        default={"conv2_2": 0.5, "conv3_1": 1.0}, min_length=1
    )
    content_scale: float = Field(default=1.0, gt=0, le=1)
    """Size at which content is compared, as a share of the frame's; at a half the generator may
    paint its own strokes into what was the photograph's texture."""
    style_weight: Weight = 1.0
    content_weight: Weight = 1.0
    skin: Weight = 0.0
    """How much more content counts where a photograph has the colours of skin, so that a face
    stays a face under strokes that a sky may dissolve in."""
    mixes: float = Field(default=0.0, ge=0, le=1)
    """Share of samples in a random mixture of two styles, compared with the same mixture of
    their Gram matrices: mixtures are used live, so they are taught."""
    total_variation: Weight = 0.1
    tone: Weight = 0.0
    """Weight of keeping light and dark where they are: without it a style may turn dark hair
    into the paper that its painting is made on."""
    plain: Weight = 0.0
    """Weight of leaving a plain wall plain. Style asks for texture everywhere; on a wall, which
    gives none to start from, a generator draws the grid that it counts pixels by."""
    margin: int = Field(default=0, ge=0, le=256, multiple_of=8)
    """Pixels along each side of a crop that the generator sees and no loss does. Without it the
    generator learns where the border is, from the zeros beyond, and paints bands along it."""
    teacher_model: str | None = None
    """A larger generator that has these styles under the same names, by path or name; this one
    learns to imitate it (distillation), with ``style_weight`` and ``content_weight`` 0 in a
    fraction of the time."""
    imitation: Weight = 1.0
    """Weight of the mean absolute difference from the teacher's picture."""

    @model_validator(mode="before")
    @classmethod
    def _one_form_of_scales(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("scales"):
            for older in ("style_layers", "coarse"):
                if older in given:
                    raise ValueError(f"leave out {older}: scales says what it would")
        return given

    @property
    def style_scales(self) -> tuple[StyleScaleRecipe, ...]:
        """The scales, also of a recipe of the older form."""
        if self.scales:
            return self.scales
        full = StyleScaleRecipe(layers=self.style_layers)
        half = StyleScaleRecipe(scale=0.5, layers=self.style_layers, weight=self.coarse)
        return (full, half) if self.coarse else (full,)


class TranslationRecipe(Section):
    """What every objective with a known target shares (pix2pix, Isola et al. 2017).

    The weight of the adversarial loss stands in ``adversarial.weight``, that of the temporal
    loss in ``temporal.weight``.
    """

    l1: Weight = 1.0
    """Weight of the mean absolute difference from the target."""
    feature_matching: Weight = 0.1
    """Weight of the difference between the discriminator's features of output and target."""
    perceptual: Weight = 0.0
    """Weight of the difference between VGG-19's or SqueezeNet's features of output and target,
    relative to their size; 0 needs no file of features."""
    perceptual_layers: dict[str, Weight] = Field(
        default={"conv2_2": 0.5, "conv3_1": 1.0}, min_length=1
    )
    """Layers that are compared, and the weight of each."""
    features: str = VGG19_FILE
    """Their weights, read only where ``perceptual`` is not 0."""


class PairedRecipe(TranslationRecipe):
    """Pictures whose target is known: from a folder, or made by a teacher."""

    targets: str | None = None
    """Folder with a picture of the same name (whatever its suffix) and size for each content."""
    teacher: Literal["cel", "comic", "ink", "neon", "oil", "pencil", "watercolour"] | None = None
    """One of the slow filters of ours that a generator learns to do in real time."""
    teacher_model: str | None = None
    """A native generator, by path or name, which a smaller one learns to imitate (distillation)."""
    teacher_mix: tuple[Weight, ...] = ()
    """Style vector for that model; empty where it has no styles."""
    teacher_sizes: tuple[Annotated[int, Field(ge=32, le=2048)], ...] = ()
    """Short sides at which the teacher is shown every picture as a whole, once; samples are cut
    from those. Left out: it is shown each sample."""
    kept_targets: str | None = None
    """Folder in which the targets of ``teacher_sizes`` are kept from one training to the next;
    left out: they are made anew, and kept in memory."""

    @model_validator(mode="after")
    def _has_one_source_of_targets(self) -> Self:
        if sum(v is not None for v in (self.targets, self.teacher, self.teacher_model)) != 1:
            raise ValueError("give exactly one of targets, teacher and teacher_model")
        if self.targets is not None and self.teacher_sizes:
            raise ValueError("teacher_sizes needs a teacher, and targets has none")
        return self


class EnhanceRecipe(TranslationRecipe):
    """Degradations of a webcam picture that the generator learns to undo.

    Each is given by the range its strength is drawn from.
    """

    share: float = Field(default=0.5, gt=0, le=1)
    """Probability of each degradation in a sample."""
    downscale: tuple[float, float] = (1.0, 2.0)
    """How many times smaller the picture was before it was scaled up again."""
    blur: tuple[float, float] = (0.0, 1.5)
    """Standard deviation of a Gaussian, in pixels."""
    light: tuple[float, float] = (0.3, 1.0)
    """Share of the light that is left."""
    noise: tuple[float, float] = (0.0, 0.08)
    """Standard deviation of camera noise, of a range of 0 to 1."""
    jpeg: tuple[int, int] = (30, 95)
    """Quality that the picture is compressed with."""
    scratches: tuple[float, float] = (0.0, 0.0)
    """Scratches of an old film along its length, in a picture 100 pixels wide."""
    dust: tuple[float, float] = (0.0, 0.0)
    """Specks and missing flakes of an old film, in a hundred by a hundred pixels."""
    fading: tuple[float, float] = (0.0, 0.0)
    """Share of contrast and colour that an old film has lost."""

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        limits = {
            "downscale": (1, 16),
            "blur": (0, 20),
            "light": (0.01, 1),
            "noise": (0, 1),
            "jpeg": (1, 100),
            "scratches": (0, 20),
            "dust": (0, 50),
            "fading": (0, 0.95),
        }
        for name, (least, most) in limits.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(f"{name} must rise and lie within {least} and {most}")
        return self


class UnpairedRecipe(Section):
    """From one look to another without pairs; ``data.content`` is the first domain.

    The weight of the adversarial loss stands in ``adversarial.weight`` and must not be zero.
    """

    second: tuple[str, ...] = Field(min_length=1)
    """Folders or files of the second domain."""
    form: Literal["cycle", "contrastive"] = "cycle"
    """cycle: two generators that undo each other (CycleGAN); contrastive: one generator whose
    output keeps every place recognisable (CUT), at half the cost."""
    cycle: Weight = 10.0
    """Weight of the mean absolute error after going there and back, both ways."""
    identity: Weight | None = None
    """Weight of leaving alone what is in the right domain already: the mean absolute change
    (cycle), or the contrastive loss (contrastive). Left out: as published, half of ``cycle``, or
    ``contrastive``."""
    contrastive: Weight = 1.0
    """Weight of the contrastive loss."""
    temperature: float = Field(default=0.07, gt=0, le=10)
    """Divides the cosines of the contrastive loss."""
    places: int = Field(default=256, ge=2, le=4096)
    """Places of a picture that are compared, in each layer."""
    embedding: int = Field(default=256, ge=4, le=1024)
    """Length that features are brought to before they are compared."""

    @property
    def identity_weight(self) -> float:
        """``identity``, or what was published for this form."""
        if self.identity is not None:
            return self.identity
        return self.cycle / 2 if self.form == "cycle" else self.contrastive


class GenerateRecipe(Section):
    """Pictures from noise; they become as large as ``data.crop``, four times a power of two."""

    features: str = SQUEEZENET_FILE
    """Weights of SqueezeNet or VGG-19 that ``evaluate`` judges the pictures with; training needs
    none."""
    style: Weight = 0.0
    """Weight of how far the textures of a batch of made pictures are, on average, from those of
    real ones: what a small discriminator takes long to teach (texture networks, Ulyanov 2016)."""
    style_layers: dict[str, Weight] = Field(
        default={"conv1_2": 1.0, "conv2_2": 1.0, "conv3_1": 1.0, "conv3_3": 1.0}, min_length=1
    )
    """Layers whose Gram matrices are compared, and the weight of each."""
    style_features: str = VGG19_FILE
    """Their weights, read only where ``style`` is not 0."""


class SegmentationRecipe(Section):
    """Where in a frame are people: samples are composites; ``data.content`` are the places.

    Of ``data`` only ``content`` and ``hold_out`` count here.
    """

    people: tuple[str, ...] = Field(min_length=1)
    """Folders or files: photographs of people, to cut out. None of them serves as a place."""
    left_out: tuple[str, ...] = ()
    """Folders or files that serve neither as people nor as places: people too small to cut out,
    statues, photographs that the teacher fails on."""
    teacher: str = "${STYLIZER_DATA}/segmentation/selfie_segmentation.onnx"
    """Published network that cuts people out of their photographs; only training uses it."""
    sizes: tuple[tuple[MaskSide, MaskSide], ...] = Field(default=((256, 144),), min_length=1)
    """Width and height of samples; batches take turns."""
    photographs: Share = 0.2
    """Share of samples that are photographs as they are, labelled by the teacher."""
    counts: tuple[Share, Share, Share, Share] = (0.2, 0.55, 0.17, 0.08)
    """Shares of the other samples with nobody, one, two and three people."""
    far: Share = 0.0
    """Share of pasted people who are further away than anybody before a webcam."""
    rooms: Share = 0.35
    """Share of places that are drawn instead of photographed."""
    surroundings: Share = 0.0
    """Share of places that are what stands beside somebody in a photograph of people."""
    recoloured: Share = 0.0
    """Share of places, and of people's clothes, in other colours than they had; none where the
    network is evaluated."""
    headphones: Share = 0.12
    """Share of pasted people with headphones on."""
    noise: float = Field(default=0.03, ge=0, le=0.5)
    """Largest standard deviation of camera noise, of a range of 0 to 1; what is left of a
    camera's own once its frame is as small as a sample."""
    edge: Weight = 3.0
    """How much more cross-entropy counts at an edge of the alpha."""
    overlap: Weight = 0.5
    """Weight of the soft intersection over union."""
    steady: Weight = 1.0
    """Weight of the difference between the masks of one frame under two draws of noise."""

    @model_validator(mode="after")
    def _counts_are_all(self) -> Self:
        if abs(sum(self.counts) - 1) > 1e-6:
            raise ValueError("counts must add up to 1")
        return self
