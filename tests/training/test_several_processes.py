"""Processes that train together, each with pictures of its own in its pools."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.trainer import Trainer

from .conftest import make_content
from .test_translation import PAIRED

pytestmark = pytest.mark.training

# In one start of the processes: a whole run, and one in two sittings.
SCRIPT = """
import sys
from pathlib import Path
import torch
from obs_stylizer.training.distributed import joined_world
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.trainer import Trainer

torch.set_num_threads(1)
folder = Path(sys.argv[1])
with joined_world() as world:
    def trainer(name):
        if world.leads and not (folder / name).exists():
            RunDirectory.create(folder / name, folder / "recipe.yaml")
        world.wait()
        return Trainer(RunDirectory.open(folder / name), torch.device("cpu"), world)

    trainer("whole").train()
    trainer("parts").train(until=5)
    again = trainer("parts")
    again.resume()
    again.train()
    pictures = [float(kept.sum()) for kept in again.objective.pool.state()["kept"]]
    (folder / f"pool-{world.rank}.txt").write_text(repr(pictures))
"""


def test_pools_of_all_processes_go_on_where_they_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Whether a budget is used up is something that all processes have to ask at the same time.
    text = PAIRED.replace("steps: 80", "steps: 10, minutes: 60, log_every: 2")
    text = text.replace("weight: 0.01, pool: 4", "weight: 1, pool: 3")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text.format(folder=make_content(tmp_path)), encoding="utf-8")
    script = tmp_path / "both.py"
    script.write_text(SCRIPT, encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*torchrun, str(script), str(tmp_path)],
        check=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        cwd=Path(__file__).parents[2],
    )
    whole, parts = (
        torch.load(tmp_path / name / "checkpoints" / "latest.pt", weights_only=True)
        for name in ("whole", "parts")
    )
    for network in ("generators", "discriminators", "average"):
        assert all(torch.equal(whole[network][key], parts[network][key]) for key in whole[network])
    for one, other in zip(whole["objective"], parts["objective"], strict=True):
        assert len(one["pool"]["kept"]) == 3
        for kept, again in zip(one["pool"]["kept"], other["pool"]["kept"], strict=True):
            assert torch.equal(kept, again)
    pools = [(tmp_path / f"pool-{rank}.txt").read_text(encoding="utf-8") for rank in (0, 1)]
    assert pools[0] != pools[1]

    alone = Trainer(RunDirectory.open(tmp_path / "parts"), torch.device("cpu"))
    alone.resume()
    assert "written by 2 processes and is read by 1" in caplog.text
