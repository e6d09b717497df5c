"""The generate objective: pictures from noise (Goodfellow et al. 2014).

With a DCGAN generator and an image-level discriminator this is DCGAN (Radford et al. 2016); with
the Wasserstein loss and a gradient penalty, WGAN-GP (Gulrajani et al. 2017). The textures may be
asked for directly as well, as in texture networks (Ulyanov et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training.datasets import ContentPictures, sample_random
from obs_stylizer.training.discriminators import build_discriminator
from obs_stylizer.training.features import FeatureNetwork, load_features
from obs_stylizer.training.gan_loss import GanLoss
from obs_stylizer.training.generators import build_latent_generator
from obs_stylizer.training.image_pool import ImagePool
from obs_stylizer.training.losses.perceptual import gram_matrix, style_distance
from obs_stylizer.training.objectives.base import Batch, GeneratorTurn, Objective
from obs_stylizer.training.recipe import Recipe, expand_path
from obs_stylizer.training.tensors import to_pixels, to_tensor

GRID = 6


class GenerateObjective(Objective):
    """Trains a generator whose pictures look like crops of the content.

    Raises:
        TrainingError: the content cannot be used, or the generator's size does not suit.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        super().__init__(recipe, device)
        if recipe.generate is None:
            raise TrainingError(f"the recipe {recipe.name} has no section generate")
        self.recipe, self.device = recipe, device
        self.gan_loss = GanLoss(recipe.adversarial)
        self.pool = ImagePool(recipe.adversarial.pool)
        self.content = ContentPictures.of(recipe.data)
        self.generators = nn.ModuleDict(
            {"maker": build_latent_generator(recipe.generator, recipe.data.crop)}
        )
        self.discriminators = nn.ModuleDict({"pictures": build_discriminator(recipe.discriminator)})
        self.features: FeatureNetwork | None = None
        if recipe.generate.style:
            self.features = load_features(expand_path(recipe.generate.style_features))
        self.generate = recipe.generate
        self.to(device)

    def make_batch(self, step: int, samples: Sequence[int], turn: int = 0) -> Batch:
        """Return ``real`` (B, 3, crop, crop) and ``latent`` (B, Z)."""
        randoms = [sample_random(self.recipe.seed, step, number, turn) for number in samples]
        latent = self.recipe.generator.latent
        return {
            "step": step,
            "real": to_tensor([self.content.crop(self.recipe.data, random) for random in randoms]),
            "latent": torch.from_numpy(
                np.stack([random.standard_normal(latent, np.float32) for random in randoms])
            ),
            "noise_seeds": tuple(int(random.integers(2**31)) for random in randoms),
        }

    def generator_turn(self, batch: Batch) -> GeneratorTurn:
        """Return the adversarial loss."""
        made: Tensor = self.generators["maker"](batch["latent"])
        loss = self.gan_loss.generator_loss(
            self.discriminators["pictures"], made.float(), batch["noise_seeds"]
        )
        # How much the pictures differ from each other; it falls to nothing in a collapse.
        spread = made.detach().float().std(0).mean() if len(made) > 1 else made.new_zeros(())
        metrics = {"adversarial": loss.detach(), "spread": spread}
        loss = self.recipe.adversarial.weight * loss
        if self.features is not None:
            texture = self._texture_distance(self.features, made, batch["real"])
            metrics["style"] = texture.detach()
            loss = loss + self.generate.style * texture
        metrics["loss"] = loss.detach()
        return GeneratorTurn(loss, metrics, {"made": made.detach()})

    def discriminator_turn(
        self, batch: Batch, fakes: dict[str, Tensor] | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of telling crops from made pictures."""
        if fakes is None:
            with torch.no_grad():
                fakes = {"made": self.generators["maker"](batch["latent"])}
        seeds = batch["noise_seeds"]
        made = self.pool.exchange(fakes["made"].float(), seeds)
        return self.gan_loss.discriminator_loss(
            self.discriminators["pictures"], batch["real"], made, seeds, batch["step"]
        )

    @torch.no_grad()
    def sample_grid(self, generators: nn.ModuleDict) -> Pixels:
        """Return pictures of the same noise at every call."""
        noise = torch.randn(
            GRID * GRID, self.recipe.generator.latent, generator=torch.Generator().manual_seed(0)
        )
        made = [to_pixels(picture) for picture in generators["maker"](noise.to(self.device))]
        return np.vstack([np.hstack(made[row * GRID : (row + 1) * GRID]) for row in range(GRID)])

    def check(self) -> list[str]:
        """Read every picture once and say what there is."""
        pictures = self.content.training
        pictures.check()
        return [
            f"content: {len(pictures)} pictures to train on, {len(pictures.broken)} broken, "
            f"{len(self.content.held_out)} held out"
        ]

    def _texture_distance(self, features: FeatureNetwork, made: Tensor, real: Tensor) -> Tensor:
        """Return the distance between the mean Gram matrices of two batches, a scalar.

        Only the means are compared, so that pictures stay free to differ as the real ones do.
        """
        layers = self.generate.style_layers
        found = features(made, layers)
        with torch.no_grad():
            wanted = features(real, layers)
        distances = [
            weight
            * style_distance(
                gram_matrix(found[layer]).mean(0, keepdim=True),
                gram_matrix(wanted[layer]).mean(0, keepdim=True),
            ).squeeze()
            for layer, weight in layers.items()
        ]
        return torch.stack(distances).sum()

    def extra_state(self) -> dict[str, Any]:
        """Return the pool's pictures."""
        return {"pool": self.pool.state()}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back the pool's pictures."""
        self.pool.load_state(state["pool"])
