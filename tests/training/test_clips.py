"""Real clips: which pairs of frames are taken, and what a loss along their flow says."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training import clips
from obs_stylizer.training.clips import ClipPairs, find_clips
from obs_stylizer.training.datasets import sample_random
from obs_stylizer.training.losses.temporal import clip_consistency
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.trainer import Trainer
from tests.fakes.videos import write_video

from .conftest import RecipeWriter, make_content
from .test_evaluation import textured
from .test_translation import ENHANCE, PAIRED
from .test_unpaired import RECIPE as UNPAIRED

pytestmark = pytest.mark.training

CPU = torch.device("cpu")


def moving(count: int, step: int = 3) -> list[Pixels]:
    """A texture that moves ``step`` pixels to the right from frame to frame."""
    wide = textured(96, 128 + count * step)
    starts = [step * (count - number) for number in range(count)]
    return [np.ascontiguousarray(wide[:, start : start + 128]) for start in starts]


def write_clip(path: Path, frames: list[Pixels]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, frames, fps=10)


def draw(pairs: ClipPairs, step: int = 0) -> clips.ClipPair:
    return pairs.draw(sample_random(0, step, 0), 64, (64, 64))


def test_a_pair_is_of_consecutive_frames_and_its_flow_leads_back(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", moving(5))
    pairs = ClipPairs([path], 96)
    assert pairs.check() == "clips: 1 clips, 4 pairs of frames"
    for step in range(4):
        pair = draw(pairs, step)
        assert pair.before.shape == pair.now.shape == (64, 64, 3)
        # The whole height of 96 becomes 64, so that three pixels become two; half the crops are
        # mirrored.
        across = float(np.median(np.abs(pair.back[10:54, 10:54, 0])))
        assert across == pytest.approx(2, abs=0.3)
        assert pair.seen[10:54, 10:54].mean() > 0.9
    again = draw(ClipPairs([path], 96), 3)
    assert np.array_equal(again.before, pair.before)


def test_across_a_cut_nothing_is_compared(tmp_path: Path) -> None:
    one, other = textured(96, 128), np.full((96, 128, 3), 20, np.uint8)
    other[40:60, 50:90] = (250, 30, 30)
    pairs = ClipPairs([write_clip(tmp_path / "cut.mp4", [one, other])], 96)
    assert not draw(pairs).seen.any()


def test_a_loss_along_the_flow_by_hand() -> None:
    before = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    now = before.roll(2, 3)
    back = torch.zeros(1, 12, 16, 2)
    back[..., 0] = -2
    seen = torch.ones(1, 1, 12, 16)
    seen[..., :2] = 0
    assert float(clip_consistency(before, now, back, seen)) < 1e-6
    assert float(clip_consistency(before, now + 0.25, back, seen)) == pytest.approx(0.25, abs=1e-5)
    assert float(clip_consistency(before, now, torch.zeros_like(back), seen)) > 0.2
    assert float(clip_consistency(before, now, back, torch.zeros_like(seen))) == 0


def test_a_long_clip_is_thinned_to_what_memory_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "clip.mp4", moving(30, 1))
    monkeypatch.setattr(clips, "KEPT_BYTES", 10 * 96 * 128 * 6)
    thinned = ClipPairs([path], 96)
    assert thinned.check() == "clips: 1 clips, 8 pairs of frames"
    # Spread over the whole clip, and each pair still of neighbours.
    assert float(np.median(np.abs(draw(thinned).back[10:54, 10:54, 0]))) < 1.2
    monkeypatch.setattr(clips, "LONGEST_CLIP", 6)
    assert ClipPairs([path], 96).check() == "clips: 1 clips, 5 pairs of frames"


def test_broken_and_missing_clips(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = write_clip(tmp_path / "a" / "good.mp4", moving(3))
    (tmp_path / "a" / "broken.mkv").write_bytes(b"no film")
    write_clip(tmp_path / "a" / "single.mp4", moving(1))
    found = find_clips(tmp_path / "a")
    assert [path.name for path in found] == ["broken.mkv", "good.mp4", "single.mp4"]
    pairs = ClipPairs(found, 96)
    with caplog.at_level(logging.WARNING):
        assert pairs.check() == "clips: 1 clips, 2 pairs of frames"
    assert [path.name for path in pairs.broken] == ["broken.mkv", "single.mp4"]
    assert "broken.mkv cannot be read" in caplog.text
    assert "single.mp4 has fewer than two frames" in caplog.text
    good.unlink()
    with pytest.raises(TrainingError, match=r"none of the 2 clips can be read.*broken\.mkv"):
        ClipPairs(find_clips(tmp_path / "a"), 96).check()
    (tmp_path / "b").mkdir()
    with pytest.raises(TrainingError, match=r"there are no clips in .*b"):
        find_clips(tmp_path / "b")
    with pytest.raises(TrainingError, match=r"no clip and no folder .*c\.mp4"):
        find_clips(tmp_path / "c.mp4")


def clips_loss(folder: Path, text: str) -> tuple[Trainer, float]:
    """Start a run of a recipe with clips; return it and its loss along the flow at the start."""
    write_clip(folder / "clips" / "a.mp4", moving(6))
    text = text.replace("data: {{", 'data: {{clips: ["{folder}/clips"], ')
    text = text.replace("temporal: {{", "temporal: {{clip_weight: 20, ")
    for name in ("second",):
        make_content(folder / name)
    recipe = folder / "recipe.yaml"
    recipe.write_text(text.format(folder=make_content(folder)), encoding="utf-8")
    trainer = Trainer(RunDirectory.create(folder / "run", recipe), CPU)
    batch = trainer.objective.make_batch(0, range(4))
    assert batch["clip_now"].shape == (4, 3, 32, 32)
    assert batch["clip_back"].shape == (4, 32, 32, 2)
    assert "clip_now" not in trainer.objective.make_batch(0, range(4), turn=1)
    return trainer, float(trainer.objective.generator_turn(batch).metrics["clips"])


@pytest.mark.parametrize("text", [PAIRED, ENHANCE, UNPAIRED], ids=["paired", "enhance", "unpaired"])
def test_every_translation_learns_from_clips(text: str, tmp_path: Path) -> None:
    trainer, start = clips_loss(tmp_path, text.replace("noise: [0.05, 0.1]", "noise: [0, 0]"))
    assert start > 0
    assert trainer.objective.check()[-1] == "clips: 1 clips, 5 pairs of frames"
    gradient = trainer.objective.generator_turn(trainer.objective.make_batch(0, range(4)))
    gradient.loss.backward()
    with_clips = [
        p.grad.clone() for p in trainer.objective.generators.parameters() if p.grad is not None
    ]
    trainer.objective.generators.zero_grad()
    batch = trainer.objective.make_batch(0, range(4))
    without = {key: value for key, value in batch.items() if not key.startswith("clip_")}
    trainer.objective.generator_turn(without).loss.backward()
    plain = [p.grad for p in trainer.objective.generators.parameters() if p.grad is not None]
    assert any(not torch.allclose(a, b) for a, b in zip(with_clips, plain, strict=True))


def test_a_painting_gets_steadier_along_its_clips(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    write_clip(tmp_path / "clips" / "a.mp4", moving(6))
    found = {}
    for weight in (0, 30):
        recipe = recipe_of(
            ("data: {", f'data: {{clips: ["{tmp_path}/clips"], '),
            ("{weight: 1, shift: 2}", f"{{weight: 0, clip_weight: {weight}}}"),
            ("steps: 12, batch: 2", "steps: 40, batch: 2, learning_rate: 0.003"),
            name=f"{weight}.yaml",
        )
        trainer = Trainer(RunDirectory.create(tmp_path / f"run-{weight}", recipe), CPU)
        trainer.train()
        batch = trainer.objective.make_batch(10**6, range(8))
        with torch.no_grad():
            found[weight] = float(trainer.objective.generator_turn(batch).metrics["clips"])
    assert found[30] < 0.6 * found[0], found
