"""Files of generators that make pictures from noise: what is read, and how they run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.errors import ModelError, ProviderError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.latent_model import LatentModel, LatentSession, load_latent_model
from tests.fakes.latent_models import write_latent_model


@pytest.fixture
def model(tmp_path: Path) -> LatentModel:
    return load_latent_model(write_latent_model(tmp_path / "clouds.onnx", latent=5, size=16))


def test_what_a_file_says(model: LatentModel) -> None:
    assert (model.spec.name, model.spec.title, model.spec.latent) == ("clouds", "Tiny clouds", 5)
    assert model.frame_size == FrameSize(16, 16)


def test_noise_becomes_a_picture(model: LatentModel) -> None:
    session = LatentSession(model)
    grey = session.run(np.zeros(5, np.float32))
    assert (grey.shape, grey.dtype, grey.flags.c_contiguous) == ((16, 16, 3), np.uint8, True)
    assert (grey == 128).all()
    other = session.run(np.ones(5, np.float32))
    assert other.std() > 10
    # Each picture is an array of its own: the one before is not written over.
    assert (grey == 128).all()


def test_noise_of_another_length_is_refused(model: LatentModel) -> None:
    with pytest.raises(ProviderError, match=r"clouds\.onnx: the run failed"):
        LatentSession(model).run(np.zeros(4, np.float32))


def test_a_file_that_goes_away_between_reading_and_running(model: LatentModel) -> None:
    model.path.write_bytes(b"something else")
    with pytest.raises(ProviderError, match=r"clouds\.onnx: ONNX Runtime cannot run it"):
        LatentSession(model)


def test_there_is_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no model file .*none\.onnx"):
        load_latent_model(tmp_path / "none.onnx")
