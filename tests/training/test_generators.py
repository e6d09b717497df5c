"""Generators and discriminators: shapes, styles, and what must not be seen in their pictures."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from obs_stylizer.errors import TrainingError
from obs_stylizer.training.discriminators import (
    Discriminator,
    ImageDiscriminator,
    MultiScaleDiscriminator,
    PatchDiscriminator,
    build_discriminator,
)
from obs_stylizer.training.generators import (
    Correction,
    LatentGenerator,
    PictureGenerator,
    ResidualGenerator,
    UNetGenerator,
    build_generator,
    build_latent_generator,
)
from obs_stylizer.training.generators.fast import FastGenerator
from obs_stylizer.training.generators.layers import (
    NORM_EPSILON,
    ConditionalInstanceNorm,
    JoinConvNorm,
    LocalContrast,
    SmoothSubpixelConv,
    UpConvNorm,
)
from obs_stylizer.training.native import as_they_lie
from obs_stylizer.training.recipe import DiscriminatorRecipe, GeneratorRecipe
from obs_stylizer.training.reparameterization import SplitConvNorm, TransposedConvNorm

pytestmark = pytest.mark.training


def test_a_style_vector_mixes_scales_and_shifts() -> None:
    norm = ConditionalInstanceNorm(2, 3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([[1.0, 1], [3, 1], [5, 5]]))
        norm.bias.copy_(torch.tensor([[0.0, 0], [2, 4], [9, 9]]))
    features = torch.randn(1, 2, 16, 16)
    normal = F.instance_norm(features, eps=NORM_EPSILON)
    plain = norm(features, torch.tensor([[1.0, 0, 0]]))
    assert torch.allclose(plain, normal, atol=1e-5)
    mixed = norm(features, torch.tensor([[0.5, 0.5, 0]]))
    expected = plain * torch.tensor([2.0, 1]).view(1, 2, 1, 1)
    assert torch.allclose(mixed, expected + torch.tensor([1.0, 2]).view(1, 2, 1, 1), atol=1e-5)


def test_each_sample_has_its_own_style() -> None:
    torch.manual_seed(0)
    generator = FastGenerator(8, 1, 2)
    torch.nn.init.normal_(generator.wide.norm.weight)
    frame = torch.rand(1, 3, 32, 48).expand(2, -1, -1, -1)
    with torch.no_grad():
        both = generator(frame, torch.eye(2))
        alone = generator(frame[:1], torch.eye(2)[1:])
    assert both.shape == (2, 3, 32, 48)
    assert float(both.min()) >= 0
    assert float(both.max()) <= 1
    assert torch.allclose(both[1:], alone, atol=1e-5)
    assert not torch.allclose(both[:1], alone, atol=1e-2)


def test_the_fold_is_convolution_then_blur() -> None:
    torch.manual_seed(0)
    layer = SmoothSubpixelConv(5)
    features = torch.randn(1, 5, 8, 9)
    plain = F.pixel_shuffle(F.conv2d(features, layer.weight, layer.bias, padding=1), 2)
    made = F.pixel_shuffle(layer(features), 2)[..., :-1, :-1]
    assert torch.allclose(made, F.avg_pool2d(plain, 2, 1), atol=1e-5)


@pytest.mark.parametrize(
    "generator",
    [FastGenerator(8, 2, 2), UNetGenerator(4, 2, 2), ResidualGenerator(4, 1, 2)],
    ids=lambda generator: type(generator).__name__,
)
def test_a_flat_area_stays_flat(generator: PictureGenerator) -> None:
    """No chequerboard: neither from sub-pixels nor from transposed convolutions."""
    torch.manual_seed(0)
    torch.nn.init.normal_(generator.last.weight)
    with torch.no_grad():
        flat = generator.eval()(torch.full((1, 3, 128, 128), 0.7), torch.tensor([[0.5, 0.5]]))
    assert float(flat[..., 56:72, 56:72].std((2, 3)).max()) < 1e-5


def field_of(discriminator: Discriminator, scale: int = 0) -> list[int]:
    """Return height and width of what the middle score of a scale depends on."""
    pictures = torch.rand(1, 3, 320, 320, requires_grad=True)
    scores = discriminator(pictures)[scale]
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert pictures.grad is not None
    touched = pictures.grad.abs().sum((0, 1)).nonzero()
    size: list[int] = (touched.amax(0) - touched.amin(0) + 1).tolist()
    return size


def test_the_receptive_field_of_a_patch() -> None:
    for channels, field in (((4,), 16), ((4, 4), 34), ((4, 4, 4), 70)):
        discriminator = PatchDiscriminator(channels, spectral=False)
        assert discriminator.receptive_field == field
        assert field_of(discriminator) == [field, field]


def test_the_receptive_fields_of_several_scales() -> None:
    discriminator = MultiScaleDiscriminator(3, (4, 4), spectral=False)
    assert discriminator.receptive_fields == (34, 68, 136)
    for scale, field in enumerate(discriminator.receptive_fields):
        assert field_of(discriminator, scale) == [field, field]


def test_an_image_level_verdict_depends_on_the_whole_picture() -> None:
    torch.manual_seed(0)
    discriminator = ImageDiscriminator((4, 8, 8), classes=2, spectral=False)
    for side in (32, 64):
        pictures = torch.rand(3, 3, side, side, requires_grad=True)
        (scores,) = discriminator(pictures)
        assert scores.shape == (3, 2, 1, 1)
        scores[1, 0].backward()
        assert pictures.grad is not None
        assert (pictures.grad[1].abs().sum(0) > 0).all()
        assert not pictures.grad[0].any()


def test_discriminators_by_recipe() -> None:
    kinds = {"patch": PatchDiscriminator, "multi_scale": MultiScaleDiscriminator}
    for kind, expected in {**kinds, "image": ImageDiscriminator}.items():
        recipe = DiscriminatorRecipe.model_validate({"kind": kind, "channels": (4, 4)})
        discriminator = build_discriminator(recipe, inputs=6)
        assert type(discriminator) is expected
        verdict = discriminator.examine(torch.rand(1, 6, 32, 32))
        assert len(verdict.scores) == len(verdict.features) == (2 if kind == "multi_scale" else 1)


def test_spectral_norm_of_every_layer_is_one() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator((8, 8), classes=3)
    assert discriminator(torch.rand(2, 3, 64, 64))[0].shape[:2] == (2, 3)
    for _ in range(50):
        discriminator(torch.rand(1, 3, 64, 64))
    discriminator.eval()
    for layer in discriminator.layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert float(largest) == pytest.approx(1, abs=0.02)


def test_generators_by_recipe() -> None:
    weights = {}
    for kind in ("fast", "lite", "unet", "residual"):
        size = {"channels": 8, "blocks": 1} if kind in ("unet", "residual") else {}
        recipe = GeneratorRecipe.model_validate({"kind": kind, "depth": 2, **size})
        generator = build_generator(recipe, 2).eval()
        weights[kind] = sum(p.numel() for p in generator.parameters())
        side = 4 * generator.size_multiple
        frame, style = torch.rand(2, 3, side, 2 * side), torch.eye(2)
        with torch.no_grad():
            made, found = generator(frame, style), generator.encode(frame, style)
        assert made.shape == frame.shape
        assert float(made.min()) >= 0
        assert float(made.max()) <= 1
        heights = [features.shape[2] for features in found]
        assert heights == sorted(heights, reverse=True)
    assert 900_000 < weights["fast"] < 1_000_000
    assert 330_000 < weights["lite"] < 380_000
    own = GeneratorRecipe.model_validate({"kind": "lite", "channels": 24})
    assert (own.channels, own.blocks) == (24, 4)


def test_a_unet_carries_detail_around_its_bottom() -> None:
    torch.manual_seed(0)
    generator = UNetGenerator(4, 3).eval()
    frame = torch.rand(1, 3, 32, 32, requires_grad=True)
    features = generator.encode(frame)
    assert [tuple(found.shape[1:]) for found in features[1:]] == [
        (4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)
    ]  # fmt: skip


def test_a_unet_that_gathers_works_at_half_the_size_and_keeps_every_pixel() -> None:
    torch.manual_seed(0)
    generator = UNetGenerator(8, 1, normalise=False, gather=2)
    frame = torch.rand(2, 3, 16, 16)
    assert generator.size_multiple == 4
    assert [tuple(found.shape[1:]) for found in generator.encode(frame)] == [
        (12, 8, 8), (8, 8, 8), (16, 4, 4)
    ]  # fmt: skip
    # It can learn to give every single pixel back.
    teaching = torch.optim.Adam(generator.parameters(), 0.01)
    for _ in range(300):
        loss = (generator(frame) - frame).abs().mean()
        teaching.zero_grad()
        loss.backward()
        teaching.step()
    assert loss.item() < 0.12


def test_without_norms_brightness_is_kept() -> None:
    torch.manual_seed(0)
    dark = torch.rand(1, 3, 32, 32) * 0.1
    plain, normed = (ResidualGenerator(8, 1, normalise=keep).eval() for keep in (False, True))
    with torch.no_grad():
        change = [
            float((net.encode(dark)[-1] - net.encode(4 * dark)[-1]).abs().mean())
            / float(net.encode(dark)[-1].abs().mean())
            for net in (plain, normed)
        ]
    # Scaling the input by four scales plain features by four; a norm takes most of it away.
    assert change[0] == pytest.approx(3, rel=0.01)
    assert change[1] < 1


def test_upsampling_and_convolution_are_one_transposed_convolution() -> None:
    torch.manual_seed(0)
    layer = UpConvNorm(5, 7, 2).eval()
    features, style = torch.randn(1, 5, 6, 9), torch.tensor([[0.3, 0.7]])
    with torch.no_grad():
        found = TransposedConvNorm(layer)(features, style)
        assert torch.allclose(found, layer(features, style), atol=1e-5)


def test_upsampling_joining_and_convolution_are_a_sum_of_two_convolutions() -> None:
    torch.manual_seed(0)
    layer = JoinConvNorm(5, 3, 7, 2).eval()
    features, skipped = torch.randn(1, 5, 6, 9), torch.randn(1, 3, 12, 18)
    style = torch.tensor([[0.3, 0.7]])
    with torch.no_grad():
        found = SplitConvNorm(layer)(features, skipped, style)
        assert torch.allclose(found, layer(features, skipped, style), atol=1e-5)


def test_without_norms_features_keep_their_size_through_the_layers() -> None:
    torch.manual_seed(0)
    generator = FastGenerator(32, 4, 0, normalise=False, detail=True)
    gathered = F.pixel_unshuffle(torch.rand(1, 3, 64, 64), 4)
    with torch.no_grad():
        _, quarter, eighth, deepest = generator._encode(gathered, None)
    sizes = [float(features.std()) for features in (quarter, eighth, deepest)]
    assert min(sizes) > 0.3 * max(sizes), sizes


def test_detail_learns_single_pixels_that_the_plain_generator_cannot() -> None:
    torch.manual_seed(0)
    frame = (torch.rand(4, 1, 32, 32) > 0.5).float().expand(-1, 3, -1, -1)
    errors = {}
    for detail in (False, True):
        generator = FastGenerator(8, 1, 0, normalise=False, detail=detail)
        optimizer = torch.optim.Adam(generator.parameters(), 0.01)
        for _ in range(60):
            loss = F.l1_loss(generator(frame), 1 - frame)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        errors[detail] = loss.item()
    assert errors[True] < 0.15 < 0.3 < errors[False], errors


def test_a_correction_of_nothing_is_the_frame() -> None:
    generator = Correction(ResidualGenerator(4, 1))
    torch.nn.init.zeros_(generator.inner.last.weight)
    torch.nn.init.zeros_(generator.inner.last.bias)
    frame = torch.rand(1, 3, 16, 16)
    assert torch.allclose(generator(frame), frame)


def test_a_correction_begins_small() -> None:
    torch.manual_seed(0)
    generator = Correction(UNetGenerator(16, 2, normalise=False, gather=2))
    frame = torch.rand(1, 3, 32, 32)
    assert 0 < float((generator(frame) - frame).detach().abs().mean()) < 0.02


def test_pictures_from_noise() -> None:
    torch.manual_seed(0)
    generator = build_latent_generator(GeneratorRecipe(kind="dcgan", channels=8, latent=5), 32)
    assert isinstance(generator, LatentGenerator)
    made = generator(torch.randn(4, 5))
    assert made.shape == (4, 3, 32, 32)
    assert float(made.detach().flatten(1).std(0).mean()) > 1e-3


def test_kinds_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TrainingError, match="dcgan turns no picture into another"):
        build_generator(GeneratorRecipe(kind="dcgan"))
    with pytest.raises(TrainingError, match="fast makes no picture from noise"):
        build_latent_generator(GeneratorRecipe(), 64)
    with pytest.raises(TrainingError, match="96 is not four times a power of two"):
        build_latent_generator(GeneratorRecipe(kind="dcgan"), 96)


def test_pictures_from_noise_have_no_frame() -> None:
    torch.manual_seed(0)
    generator = LatentGenerator(4, 4, 32).eval()
    with torch.no_grad():
        generator.first.weight.zero_()
        generator.first.bias.copy_(
            torch.randn(len(generator.first.bias) // 16).repeat_interleave(16)
        )
        flat = generator(torch.randn(1, 4))
    assert float(flat.std((2, 3)).max()) < 1e-6
    assert 0.01 < float(flat.mean()) < 0.99


def test_local_contrast_moves_pixels_from_what_is_around_them() -> None:
    ramp = torch.linspace(0.4, 0.6, 128).expand(1, 3, 128, 128).clone()
    ramp[:, 1, 60:68] += 0.1
    gathered = F.pixel_unshuffle(ramp, 4)
    layer = LocalContrast(2.0, 4).requires_grad_(False)
    seen = F.pixel_shuffle(layer(gathered, None), 4)
    assert torch.equal(LocalContrast(0.0, 4)(gathered, None), gathered)
    assert not list(LocalContrast(0.0, 4).parameters())
    # Far from borders a plain slope is its own mean, and stays.
    torch.testing.assert_close(seen[:, ::2, :, 40:88], ramp[:, ::2, :, 40:88])
    line = (seen - ramp)[0, 1, 64, 64].item()
    assert line == pytest.approx(0.2 * (1 - 8 / 36), abs=0.03)
    assert seen.min() >= 0
    assert seen.max() <= 1
    # As a frame's bytes lie in memory, it is the same.
    order = as_they_lie(4)
    layer.reorder(order)
    found = layer(gathered[:, order], None)
    torch.testing.assert_close(found, F.pixel_unshuffle(seen, 4)[:, order])


def test_each_style_has_its_own_local_contrast_and_learns_it() -> None:
    gathered = torch.rand(2, 48, 16, 16) * 0.2 + 0.4
    layer = LocalContrast(1.5, 4, 2)
    with torch.no_grad():
        layer.gain[1] = 0
    first, second, mixed = torch.eye(2)[:1], torch.eye(2)[1:], torch.full((1, 2), 0.5)
    torch.testing.assert_close(layer(gathered, second), gathered)
    torch.testing.assert_close(
        layer(gathered, mixed), (layer(gathered, first) + gathered) / 2, atol=1e-6, rtol=0
    )
    # Two pictures of a batch, each in its own style.
    torch.testing.assert_close(layer(gathered, torch.eye(2))[1], gathered[1])
    layer(gathered, first).square().mean().backward()
    assert layer.gain.grad is not None
    assert layer.gain.grad[0] != 0
    assert layer.gain.grad[1] == 0


def test_a_margin_keeps_the_size_and_hides_the_border_from_the_style() -> None:
    torch.manual_seed(0)
    bare, wide = FastGenerator(8, 1, 2), FastGenerator(8, 1, 2, margin=32)
    wide.load_state_dict(bare.state_dict())
    even, style = torch.full((1, 3, 64, 96), 0.4), torch.tensor([[1.0, 0.0]])
    with torch.no_grad():
        # Losses see the border.
        framed = wide.train()(even, style)
        assert torch.equal(framed, bare(even, style))
        plain = wide.eval()(even, style)
    assert plain.shape == even.shape
    middle = plain[:, :, 32:33, 48:49]
    assert float((plain - middle).abs().max()) < 0.2 * float((framed - middle).abs().max())
