"""The training loop: resuming, stopping, and what goes wrong on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from obs_stylizer import training
from obs_stylizer.errors import TrainingError
from obs_stylizer.training import run_directory
from obs_stylizer.training.compilation import compile_networks
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.trainer import Trainer

from .conftest import RecipeWriter

pytestmark = pytest.mark.training

CPU = torch.device("cpu")
SIZE = "crop: 64, short_side: [64, 80]"


def start(path: Path, recipe: Path) -> Trainer:
    return Trainer(RunDirectory.create(path, recipe), CPU)


def weights(path: Path) -> dict[str, Any]:
    state = torch.load(path / "checkpoints" / "latest.pt", weights_only=True)
    names = ("generators", "discriminators", "average")
    return {f"{name}.{key}": value for name in names for key, value in state[name].items()}


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(
    recipe_of: RecipeWriter, tmp_path: Path
) -> None:
    recipe = recipe_of()
    whole = start(tmp_path / "whole", recipe).train()
    assert (whole.step, whole.finished) == (12, True)

    halted = start(tmp_path / "parts", recipe).train(until=5)
    assert (halted.step, halted.finished) == (5, False)
    again = Trainer(RunDirectory.open(tmp_path / "parts"), CPU)
    again.resume()
    assert again.train().finished

    one, other = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_parts_of_an_update_add_up_to_the_whole(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    # Spectral norm refines its estimate at each forward pass, and parts make more of those.
    plain = ("channels: [8, 8]", "channels: [8, 8], spectral_norm: false")
    start(tmp_path / "one", recipe_of(plain, ("batch: 2", "batch: 4"))).train(until=3)
    parts = recipe_of(plain, ("batch: 2", "batch: 4, accumulate: 2"), name="parts.yaml")
    start(tmp_path / "two", parts).train(until=3)
    one, other = weights(tmp_path / "one"), weights(tmp_path / "two")
    apart = {name: float((one[name] - other[name]).abs().max()) for name in one}
    assert max(apart.values()) < 1e-4, apart


def test_the_loss_comes_down(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    recipe = recipe_of(("steps: 12, batch: 2", "steps: 60, batch: 2, learning_rate: 0.003"))
    start(tmp_path / "run", recipe).train()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    figures = [json.loads(line) for line in lines]
    assert [entry["step"] for entry in figures] == list(range(2, 61, 2))
    first, last = figures[0], figures[-1]
    assert first["style"] > 1.8
    assert last["style"] < 1.35


def test_metrics_tell_the_time_outside_the_networks(
    recipe_of: RecipeWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shares(name: str) -> list[dict[str, float]]:
        trainer = start(tmp_path / name, recipe_of(("crop: 32, short_side: [32, 64]", SIZE)))
        monkeypatch.setattr(trainer, "make_parts", slowed(trainer.make_parts, 0.5 * (name == "b")))
        trainer.train(until=4)
        lines = (tmp_path / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def slowed(make: Any, seconds: float) -> Any:
        def made(step: int, turn: int) -> Any:
            time.sleep(seconds)
            return make(step, turn)

        return made

    usual = shares("a")[-1]
    assert 0 <= usual["outside_share"] < 0.5
    assert usual["seconds_making_data"] > 0
    # Where data comes slowly, the share grows by what is waited for.
    slow = shares("b")[-1]
    waited = slow["seconds_waiting"] / slow["seconds"]
    assert waited > 0.2
    assert slow["outside_share"] >= waited - 0.05


@pytest.mark.slow
@pytest.mark.skipif("STYLIZER_DATA" not in os.environ, reason="STYLIZER_DATA is not set")
def test_of_a_real_training_no_tenth_is_spent_outside_the_networks(tmp_path: Path) -> None:
    path = Path(training.__file__).parent / "recipes" / "webcam-clean.yaml"
    short = "schedule: {steps: 24, batch: 8, log_every: 6}"
    text, count = re.subn("^schedule: .*", short, path.read_text("utf-8"), flags=re.MULTILINE)
    assert count == 1
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text, encoding="utf-8")
    torch.set_num_threads(os.cpu_count() or 1)
    start(tmp_path / "run", recipe).train()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    # The first pictures are still being read from the disk.
    assert max(json.loads(line)["outside_share"] for line in lines[1:]) <= 0.1


def test_a_run_holds_what_it_takes_to_repeat_it(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    recipe = recipe_of()
    start(tmp_path / "run", recipe).train(until=6)
    run = tmp_path / "run"
    assert (run / "recipe.yaml").read_bytes() == recipe.read_bytes()
    circumstances = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert circumstances["seed"] == 3
    assert circumstances["versions"]["torch"] == torch.__version__
    assert (run / "samples" / "step_000006.png").stat().st_size > 0
    assert list((run / "events").iterdir())
    with pytest.raises(TrainingError, match="already holds a run"):
        RunDirectory.create(run, recipe)


def test_a_run_that_never_began_is_no_obstacle(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "run", recipe_of())
    assert start(tmp_path / "run", recipe_of()).train(until=2).step == 2


def test_an_interrupt_saves_and_stops(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    trainer = start(tmp_path / "run", recipe_of(("steps: 12", "steps: 100000")))
    before = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    outcome = trainer.train()
    timer.join()
    assert not outcome.finished
    state = torch.load(tmp_path / "run" / "checkpoints" / "latest.pt", weights_only=True)
    assert state["step"] == outcome.step > 0
    assert signal.getsignal(signal.SIGINT) is before


def test_a_wall_clock_budget_ends_the_schedule(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    recipe = recipe_of(("steps: 12", "steps: 100000, minutes: 0.01"))
    outcome = start(tmp_path / "run", recipe).train()
    assert outcome.finished
    assert 0.6 <= outcome.seconds < 30


def test_a_loss_that_is_not_finite_ends_the_run(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    trainer = start(tmp_path / "run", recipe_of())
    trainer.train(until=2)
    with torch.no_grad():
        trainer.objective.generators["painter"].last.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"at update 3 the loss is not finite \(.*style"):
        trainer.train(until=6)
    batch = torch.load(tmp_path / "run" / "failed_batch.pt", weights_only=True)
    assert batch["content"].shape == (2, 3, 32, 32)
    # The checkpoint is the one from before it went wrong.
    assert weights(tmp_path / "run")["generators.painter.last.weight"].isfinite().all()


def test_a_full_disk_leaves_the_checkpoint_before_it(
    recipe_of: RecipeWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = start(tmp_path / "run", recipe_of())
    trainer.train(until=2)
    kept = (tmp_path / "run" / "checkpoints" / "latest.pt").read_bytes()

    def no_room(state: object, stream: Any) -> None:
        stream.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_directory.torch, "save", no_room)
    with pytest.raises(TrainingError, match=r"No space left.*one before it is intact"):
        trainer.save()
    folder = tmp_path / "run" / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["latest.pt"]
    assert (folder / "latest.pt").read_bytes() == kept


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_file_that_cannot_grow_leaves_the_checkpoint_before_it(
    recipe_of: RecipeWriter, tmp_path: Path
) -> None:
    """The system itself refuses to write on, as it does on a full disk."""
    import resource

    trainer = start(tmp_path / "run", recipe_of())
    trainer.train(until=2)
    folder = tmp_path / "run" / "checkpoints"
    kept = (folder / "latest.pt").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept) // 2, hard))
    try:
        with pytest.raises(TrainingError, match=r"cannot be written.*one before it is intact"):
            trainer.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in folder.iterdir()] == ["latest.pt"]
    assert (folder / "latest.pt").read_bytes() == kept
    trainer.save()


def test_checkpoints_that_do_not_fit_are_refused(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    recipe = recipe_of()
    start(tmp_path / "run", recipe).train(until=1)
    path = tmp_path / "run" / "checkpoints" / "latest.pt"

    changed = recipe_of(("name: tiny", "name: other"), ("seed: 3", "seed: 4"), name="other.yaml")
    (tmp_path / "run" / "recipe.yaml").write_bytes(changed.read_bytes())
    with pytest.raises(TrainingError, match=r"recipe tiny \(.*recipe is other \("):
        Trainer(RunDirectory.open(tmp_path / "run"), CPU).resume()

    (tmp_path / "run" / "recipe.yaml").write_bytes(recipe.read_bytes())
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(TrainingError, match="damaged or cut off"):
        Trainer(RunDirectory.open(tmp_path / "run"), CPU).resume()

    path.unlink()
    with pytest.raises(TrainingError, match="no checkpoint yet"):
        Trainer(RunDirectory.open(tmp_path / "run"), CPU).resume()
    with pytest.raises(TrainingError, match="is no run directory"):
        RunDirectory.open(tmp_path / "elsewhere")


def test_features_that_are_missing_or_broken(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    recipe = recipe_of()
    (tmp_path / "features.npz").write_bytes(b"PK but no archive")
    with pytest.raises(TrainingError, match=r"features\.npz are broken"):
        start(tmp_path / "a", recipe)
    (tmp_path / "features.npz").unlink()
    with pytest.raises(TrainingError, match=r"features\.npz are missing.*painting\.features"):
        start(tmp_path / "b", recipe)


def test_a_layer_that_the_features_lack(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    recipe = recipe_of(("{conv1_1: 1, conv2_1: 1}", "{conv5_1: 1}"))
    with pytest.raises(TrainingError, match=r"no layer conv5_1.*conv1_1"):
        start(tmp_path / "run", recipe)


def test_a_style_picture_smaller_than_a_crop(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    recipe = recipe_of(("crop: 32, short_side: [32, 64]", "crop: 96, short_side: [96, 96]"))
    assert start(tmp_path / "run", recipe).train(until=1).step == 1


def test_a_run_may_start_from_the_weights_of_another(
    recipe_of: RecipeWriter, tmp_path: Path
) -> None:
    start(tmp_path / "first", recipe_of()).train(until=2)
    other = recipe_of(("{weight: 1, shift: 2}", "{weight: 2, shift: 2}"), name="other.yaml")
    trainer = start(tmp_path / "second", other)
    trainer.start_from(RunDirectory.open(tmp_path / "first"))
    assert trainer.step == 0
    trainer.save()
    one, two = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.equal(one[name], two[name]) for name in one)
    noted = json.loads((tmp_path / "second" / "run.json").read_text(encoding="utf-8"))
    assert noted["started_from"]["step"] == 2

    alone = recipe_of(
        ("temporal: {weight: 1", "adversarial: {weight: 0}\ntemporal: {weight: 1"),
        name="alone.yaml",
    )
    start(tmp_path / "alone", alone).train(until=2)
    played = start(tmp_path / "played", other)
    played.start_from(RunDirectory.open(tmp_path / "alone"))
    played.save()
    one, two = weights(tmp_path / "alone"), weights(tmp_path / "played")
    assert all(torch.equal(one[name], two[name]) for name in one)

    larger = recipe_of(("channels: 8,", "channels: 12,"), name="larger.yaml")
    with pytest.raises(TrainingError, match="another shape than tiny's"):
        start(tmp_path / "third", larger).start_from(RunDirectory.open(tmp_path / "first"))


def test_a_style_with_more_turns_gets_more_samples(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    often = recipe_of(('stripes.png", size: 64', 'stripes.png", size: 64, turns: 3'))
    trainer = start(tmp_path / "run", often)
    samples = range(trainer.recipe.schedule.batch)
    taken = [
        int(i)
        for step in range(4)
        for i in trainer.objective.make_batch(step, samples)["style"].argmax(1)
    ]
    assert taken.count(0) == 3 * taken.count(1) > 0


def test_the_margin_is_seen_and_not_evaluated(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    import torch

    from obs_stylizer.training.objectives.painting import PaintingObjective

    objective = start(
        tmp_path / "run",
        recipe_of(
            ("painting:\n", "painting:\n  margin: 8\n"),
            ("crop: 32, short_side: [32", "crop: 48, short_side: [48"),
        ),
    ).objective
    batch = objective.make_batch(0, range(2))
    assert batch["content"].shape[-2:] == (48, 48)
    turn = objective.generator_turn(batch)
    assert turn.fakes["made"].shape[-2:] == (32, 32)
    # What the generator makes of the margin has no part in what it is judged by.
    made = torch.rand(2, 3, 48, 48)
    framed = made.clone()
    framed[..., :8, :] = framed[..., -8:, :] = framed[..., :8] = framed[..., -8:] = 0
    assert isinstance(objective, PaintingObjective)
    assert torch.equal(objective._inner(made), objective._inner(framed))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_compiled_networks_do_what_the_plain_ones_do(
    recipe_of: RecipeWriter, tmp_path: Path
) -> None:
    plain, compiled = (
        start(tmp_path / answer, recipe_of(("seed: 3", f"seed: 3\ncompile: {answer}")))
        for answer in ("no", "yes")
    )
    assert (plain.compiled, compiled.compiled) == (False, True)
    for trainer in (plain, compiled):
        trainer.train(until=2)
    one, other = weights(tmp_path / "no"), weights(tmp_path / "yes")
    assert one.keys() == other.keys()
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-3
    assert not start(tmp_path / "auto", recipe_of()).compiled


def test_where_nothing_can_be_compiled(
    recipe_of: RecipeWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compiler(*_: object, **__: object) -> Any:
        raise RuntimeError("no C++ compiler was found\nand much more")

    monkeypatch.setattr(torch, "compile", no_compiler)
    with pytest.raises(
        TrainingError, match=r"does not work here: no C\+\+ compiler.*compile to no"
    ):
        start(tmp_path / "run", recipe_of(("seed: 3", "seed: 3\ncompile: yes")))
    meta = torch.device("meta")
    assert compile_networks(start(tmp_path / "b", recipe_of()).objective, "auto", meta) is False
