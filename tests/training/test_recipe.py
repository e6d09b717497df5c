"""Recipes: what is taken, what is refused, and whether the message names the place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from obs_stylizer import training
from obs_stylizer.errors import TrainingError
from obs_stylizer.training.objectives import build_objective
from obs_stylizer.training.recipe import RecipeError, expand_path, load_recipe

from .conftest import DEEPER, LAYERS, RecipeWriter, make_content, write_features

pytestmark = pytest.mark.training

RECIPES = Path(training.__file__).parent / "recipes"


def test_a_whole_recipe(recipe_of: RecipeWriter) -> None:
    recipe = load_recipe(recipe_of())
    assert recipe.painting is not None
    assert list(recipe.painting.styles) == ["stripes", "rings"]
    assert recipe.schedule.decay == "cosine"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("temporal:", "tempral:", r"recipe\.yaml:\d+: tempral: is no known key.*temporal"),
        ("style_layers:", "style_layer:", r"painting\.style_layer: is no known key"),
        ("{conv2_2: 1}", "{conv2_2: -1}", r"painting\.content_layers\.conv2_2: .*-1"),
        ("objective: painting", "objective: sculpture", "objective: .*'sculpture'"),
        ("batch: 2", "batch: 0", r"schedule\.batch"),
        ("crop: 32", "crop: 33", r"data\.crop"),
        ("short_side: [32, 64]", "short_side: [16, 64]", "short_side must rise"),
        ("name: tiny", "name: Tiny Name", "name"),
        ("stripes:", "Stripes!:", r"painting\.styles"),
    ],
)
def test_errors_name_the_place(recipe_of: RecipeWriter, old: str, new: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_recipe(recipe_of((old, new)))


def test_an_unknown_loss_is_refused(recipe_of: RecipeWriter) -> None:
    path = recipe_of(("temporal:", "adversarial: {loss: magic}\ntemporal:"))
    with pytest.raises(RecipeError, match=r"adversarial\.loss: .*hinge.*magic"):
        load_recipe(path)


def test_the_section_of_the_objective_must_be_there(recipe_of: RecipeWriter) -> None:
    path = recipe_of()
    lines = path.read_text(encoding="utf-8").splitlines()
    start = lines.index("painting:")
    end = next(n for n, line in enumerate(lines) if line.startswith("data:"))
    path.write_text("\n".join(lines[:start] + lines[end:]), encoding="utf-8")
    with pytest.raises(RecipeError, match="needs a section of that name"):
        load_recipe(path)


def test_a_recipe_error_is_both_a_document_and_a_training_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no such file"):
        load_recipe(tmp_path / "nowhere.yaml")


def test_paths_with_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PICTURES_OF_MINE", str(tmp_path))
    assert expand_path("${PICTURES_OF_MINE}/a") == tmp_path / "a"
    monkeypatch.delenv("PICTURES_OF_MINE")
    with pytest.raises(TrainingError, match="PICTURES_OF_MINE, which is not set"):
        expand_path("${PICTURES_OF_MINE}/a")


def test_the_digest_is_of_what_decides_the_weights(recipe_of: RecipeWriter) -> None:
    plain = load_recipe(recipe_of()).digest
    assert load_recipe(recipe_of(("name: tiny", "# a remark\nname: tiny"))).digest == plain
    assert load_recipe(recipe_of(("log_every: 2", "minutes: 5"))).digest == plain
    assert load_recipe(recipe_of(("seed: 3", "seed: 4"))).digest != plain


def test_keys_that_came_later_change_no_older_digest(recipe_of: RecipeWriter) -> None:
    plain = load_recipe(recipe_of()).digest
    for keys, same in (("r1: 0, weight_clip: 0, pool: 0", True), ("r1: 0.5", False)):
        path = recipe_of(("temporal:", f"adversarial: {{{keys}}}\ntemporal:"))
        assert (load_recipe(path).digest == plain) is same
    assert load_recipe(recipe_of(("blocks: 1}", "blocks: 1, latent: 64}"))).digest == plain
    assert load_recipe(recipe_of(("blocks: 1}", "blocks: 1, normalise: no}"))).digest != plain
    for old, new, same in (
        ("seed: 3", "seed: 3\ncompile: auto", True),
        ("blocks: 1}", "blocks: 1, gather: 1}", True),
        ("  styles:", "  coarse: 0\n  styles:", True),
        ("  styles:", "  coarse: 0.5\n  styles:", False),
        ("  styles:", "  margin: 0\n  styles:", True),
        ("seed: 3", "seed: 3\ncompile: yes", False),
        ("hold_out: 1", "hold_out: 1, clips: []", True),
        ("hold_out: 1", "hold_out: 1, clips: [a.mp4]", False),
        ("shift: 2", "shift: 2, clip_weight: 1", True),
        ("shift: 2", "shift: 2, clip_weight: 2", False),
    ):
        assert (load_recipe(recipe_of((old, new))).digest == plain) is same, new


def test_features_that_only_judge_are_not_in_the_digest(tmp_path: Path) -> None:
    text = (RECIPES / "living-paint.yaml").read_text(encoding="utf-8")
    digests = set()
    for section in ("{}", "{features: other.npz}"):
        path = tmp_path / "recipe.yaml"
        path.write_text(text.replace("generate: {}", f"generate: {section}"), encoding="utf-8")
        digests.add(load_recipe(path).digest)
    assert len(digests) == 1


def test_the_digests_of_recipes_of_long_ago() -> None:
    """A checkpoint knows its recipe by these: a new key must change none of them."""
    known = {
        "ink": "00797705754d",
        "living-paint": "30e79cc52406",
        # Trained otherwise since its defaults are those that were published.
        "photo-to-paint": "e42ecf77e69f",
        "webcam-clean": "b98ae8ac2777",
    }
    old = Path(__file__).parent / "old_recipes"
    found = {path.stem: load_recipe(path).digest[:12] for path in sorted(old.glob("*.yaml"))}
    assert found == known


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_that_come_with_the_package_can_be_begun(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_content(tmp_path)
    for folder in ("faces", "styles"):
        shutil.copytree(tmp_path / "content", tmp_path / folder)
    monkeypatch.setenv("STYLIZER_DATA", str(tmp_path))
    deep = {**LAYERS, **DEEPER, "conv4_1": (8, 8)}
    write_features(tmp_path / "features" / "vgg16_to_conv5_1_f16.npz", deep)
    text = path.read_text(encoding="utf-8").replace("hold_out: 10", "hold_out: 2")
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert recipe.name == path.stem
    for style in recipe.painting.styles.values() if recipe.painting else ():
        shutil.copyfile(tmp_path / "content" / "0.png", expand_path(style.picture))
    objective = build_objective(recipe, torch.device("cpu"))
    assert objective.check()[0].startswith("content: ")
    assert torch.isfinite(objective.generator_turn(objective.make_batch(0, range(2))).loss)
