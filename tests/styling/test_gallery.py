"""Still pictures of what presets make."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from obs_stylizer.errors import UsageError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.styling.gallery import contact_sheet, save_picture, stylized_stills
from tests.fakes.models import write_invert_model

SIZE = FrameSize(96, 54)
CPU = SessionOptions(provider=Provider.CPU, precision=Precision.F32, threads=1)


def flat(level: int) -> Pixels:
    return np.full((54, 96, 3), level, np.uint8)


def test_every_preset_is_applied_to_every_picture(tmp_path: Path) -> None:
    write_invert_model(tmp_path / "invert.onnx")
    (tmp_path / "invert.yaml").write_text(
        "title: Invert\nmodel: ./invert.onnx\nprocess_size: 64x32\ncoherence: 0.5\n",
        "utf-8",
    )
    (tmp_path / "plain.yaml").write_text("title: Plain\n", "utf-8")
    library = PresetLibrary([tmp_path])
    made = {
        named.name: [int(np.median(still)) for still in stills]
        for named, stills in stylized_stills([flat(50), flat(200)], library.all(), SIZE, CPU)
    }
    assert made == {"invert": [205, 55], "plain": [50, 200]}


def test_sheet_holds_every_picture_in_its_place() -> None:
    columns = [
        (name, [flat(level), flat(255)]) for name, level in zip("abc", (40, 80, 120), strict=True)
    ]
    sheet = contact_sheet(columns, 2, SIZE)
    cell = (30 + 2 * (54 + 8), 96 + 8)
    assert sheet.shape == (2 * cell[0], 8 + 2 * cell[1], 3)
    middles = [(30 + 27, 8 + 48), (30 + 27, 8 + cell[1] + 48), (cell[0] + 30 + 27, 8 + 48)]
    assert [int(sheet[place][0]) for place in middles] == [40, 80, 120]
    assert sheet[cell[0] + 30 + 27, 8 + cell[1] + 48].max() < 40, "nothing is left over"


def test_picture_is_written_as_its_suffix_says(tmp_path: Path) -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[..., 0] = 255
    save_picture(picture, tmp_path / "red.png")
    assert np.array_equal(cv2.imread(str(tmp_path / "red.png"))[0, 0], (0, 0, 255))
    save_picture(picture, tmp_path / "red.jpg")
    with pytest.raises(UsageError, match="no suffix of a picture"):
        save_picture(picture, tmp_path / "red.txt")
    with pytest.raises(UsageError, match="cannot be written"):
        save_picture(picture, tmp_path / "nowhere" / "red.png")
