"""Targets that a slow teacher makes once of whole pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training.taught_pictures import TaughtPictures

pytestmark = pytest.mark.training


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    random = np.random.default_rng(0)
    found = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        assert cv2.imwrite(str(path), random.integers(0, 255, (50, 70, 3), np.uint8))
        found.append(path)
    return found


class Negative:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, picture: Pixels) -> Pixels:
        self.asked += 1
        return np.asarray(255 - picture, np.uint8)


def test_each_picture_is_taught_once_at_each_size(paths: list[Path], tmp_path: Path) -> None:
    teacher = Negative()
    taught = TaughtPictures(paths, (32, 40), teacher, "negative", tmp_path / "kept")
    taught.prepare(2)
    assert len(taught) == 6
    assert teacher.asked == 6
    random = np.random.default_rng(1)
    shapes = {taught.draw(random).shape for _ in range(40)}
    assert shapes == {(32, 45, 6), (40, 56, 6)}
    pair = taught.draw(random)
    assert np.array_equal(255 - pair[..., :3], pair[..., 3:])
    again = TaughtPictures(paths, (32, 40), Negative(), "negative", tmp_path / "kept")
    again.prepare(1)
    assert again._teacher.asked == 0  # type: ignore[attr-defined]


def test_a_teacher_that_fails_on_one_picture_is_named_and_the_rest_goes_on(
    paths: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    refused = cv2.cvtColor(cv2.imread(str(paths[1])), cv2.COLOR_BGR2RGB)

    def teacher(picture: Pixels) -> Pixels:
        if np.array_equal(picture, refused):
            raise ZeroDivisionError("flat")
        return picture

    taught = TaughtPictures(paths, (50,), teacher, "picky", None)
    taught.prepare()
    assert [entry.name for entry in taught.broken] == ["1.png at 50"]
    assert "picky fails on" in caplog.text
    assert "ZeroDivisionError: flat" in caplog.text


def test_a_teacher_that_always_fails_ends_the_training(paths: list[Path]) -> None:
    def teacher(picture: Pixels) -> Pixels:
        raise RuntimeError("never")

    with pytest.raises(TrainingError, match="none of the 3 pictures"):
        TaughtPictures(paths, (50,), teacher, "broken", None).prepare()
