from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from obs_stylizer.inference import cache
from obs_stylizer.inference.cache import (
    ProbeResult,
    compiled_folder,
    probe_key,
    recall_probe,
    remember_probe,
)


def result(age_days: float = 0.0, winner: str = "b") -> ProbeResult:
    return ProbeResult(winner, {"a": 2.0, "b": 1.0}, time.time() - age_days * 86_400)


def test_what_was_remembered_is_recalled(own_cache: Path) -> None:
    assert recall_probe("k") is None
    kept = result()
    remember_probe("k", kept)
    assert recall_probe("k") == kept
    assert recall_probe("other") is None
    assert [path.name for path in own_cache.iterdir()] == ["probes.json"]


def test_a_result_ages(own_cache: Path) -> None:
    remember_probe("k", result(age_days=29))
    assert recall_probe("k") is not None
    remember_probe("k", result(age_days=31))
    assert recall_probe("k") is None
    remember_probe("k", result(age_days=-1))  # a clock that was set back
    assert recall_probe("k") is None


def test_only_the_newest_are_kept(own_cache: Path) -> None:
    for number in range(70):
        remember_probe(f"k{number}", result(age_days=1 - number / 100))
    assert recall_probe("k69") is not None
    assert recall_probe("k0") is None
    assert recall_probe("k6") is not None


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"k": 5}', '{"k": {"winner": "b"}}'])
def test_a_damaged_file_is_as_good_as_none(own_cache: Path, content: str) -> None:
    own_cache.mkdir()
    (own_cache / "probes.json").write_text(content, "utf-8")
    assert recall_probe("k") is None
    remember_probe("k", result())
    assert recall_probe("k") is not None


def test_a_cache_that_cannot_be_written_does_no_harm(own_cache: Path) -> None:
    own_cache.write_text("a file where the folder should be", "utf-8")
    remember_probe("k", result())
    assert recall_probe("k") is None
    assert compiled_folder("openvino") is None


def test_a_key_changes_with_each_fact() -> None:
    facts = {"model": "a", "threads": 1}
    assert probe_key(facts) == probe_key(dict(reversed(facts.items())))
    assert probe_key(facts) != probe_key(facts | {"threads": 2})


def test_compiled_programs_take_bounded_room(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_MAX_COMPILED_BYTES", 250)
    folder = compiled_folder("openvino")
    assert folder == own_cache / "compiled" / "openvino"
    for number, name in enumerate(("old", "middle", "new")):
        path = folder / name
        path.write_bytes(bytes(100))
        os.utime(path, (1000 + number, 1000 + number))
    compiled_folder("openvino")
    assert sorted(path.name for path in folder.iterdir()) == ["middle", "new"]
