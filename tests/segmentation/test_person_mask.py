"""Masks of a stream of frames: calm, in time, and sharp at the frame's size."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.segmentation import person_mask
from obs_stylizer.segmentation.composing import compose, out_of_focus, show_mask
from obs_stylizer.segmentation.guided_filter import guided_mask
from obs_stylizer.segmentation.person_mask import PersonMask

SIZE = FrameSize(320, 192)
SMALL = FrameSize(160, 96)


class FindsWhite:
    """Stands for the network: a person is what is bright; noise of its own can be added."""

    def __init__(self) -> None:
        self.size = SMALL
        self.noise = 0.0
        self._random = np.random.default_rng(0)

    def run(self, frame: Pixels) -> Pixels:
        found = np.where(frame.mean(2) > 128, 255.0, 0.0)
        found += self._random.normal(0, 255 * self.noise, found.shape) if self.noise else 0
        return np.clip(found, 0, 255).astype(np.uint8)


def room(disc: tuple[int, int] | None) -> Pixels:
    """A textured dark room with a white disc in it."""
    frame = np.random.default_rng(1).integers(20, 90, SIZE.shape, dtype=np.uint8)
    frame = cv2.GaussianBlur(frame, (0, 0), 2)
    if disc is not None:
        cv2.circle(frame, disc, 30, (240, 240, 240), -1, cv2.LINE_AA)
    return np.asarray(frame, np.uint8)


def mask_of(**settings: float) -> tuple[PersonMask, FindsWhite]:
    network = FindsWhite()
    return PersonMask(network, **settings), network  # type: ignore[arg-type]


def test_a_mask_is_of_the_frame_it_is_made_for() -> None:
    mask, _ = mask_of()
    for step in range(6):
        middle = (60 + 30 * step, 96)
        frame = room(middle)
        matte = mask.refine(frame, mask.find(frame))
        assert matte.shape == frame.shape[:2]
        disc = np.zeros(matte.shape, np.uint8)
        cv2.circle(disc, middle, 27, 255, -1)
        far = np.zeros(matte.shape, np.uint8)
        cv2.circle(far, middle, 34, 255, -1)
        assert matte[disc > 0].min() > 200
        assert matte[far == 0].max() < 40


def test_noise_of_the_network_is_calmed_where_nothing_moves() -> None:
    mask, network = mask_of()
    network.noise = 0.2
    frame = room((160, 96))
    random = np.random.default_rng(2)
    raw, calm = [], []
    for _ in range(12):
        noisy = np.clip(frame + random.normal(0, 2, frame.shape), 0, 255).astype(np.uint8)
        calm.append(mask.find(noisy).copy())
        raw.append(network.run(cv2.resize(noisy, (SMALL.width, SMALL.height))) / 255)
    calm_change = np.abs(np.diff(calm[4:], axis=0)).mean()
    assert calm_change < 0.3 * np.abs(np.diff(raw[4:], axis=0)).mean()


def test_who_leaves_fades_without_a_flash() -> None:
    mask, _ = mask_of()
    for _ in range(4):
        frame = room((160, 96))
        mask.find(frame)
    shares = []
    for _ in range(40):
        frame = room(None)
        shares.append(float(mask.find(frame).mean()))
    assert all(later <= earlier + 1e-6 for earlier, later in itertools.pairwise(shares))
    assert shares[-1] < 1e-3
    assert not mask.refine(frame, mask.find(frame)).any()


def test_the_edge_grows_and_softens() -> None:
    frame = room((160, 96))
    areas = {}
    for grow in (-4, 0, 4):
        mask, _ = mask_of(edge=0, grow=grow)
        areas[grow] = int((mask.refine(frame, mask.find(frame)) > 127).sum())
    assert areas[-4] < areas[0] < areas[4]
    hard, _ = mask_of(edge=0)
    soft, _ = mask_of(edge=12)
    between = [
        int(((matte > 20) & (matte < 235)).sum())
        for matte in (
            hard.refine(frame, hard.find(frame)),
            soft.refine(frame, soft.find(frame)),
        )
    ]
    assert between[1] > 2 * between[0]


def test_a_mask_goes_on_from_the_memory_of_another() -> None:
    one, _ = mask_of()
    frames = [room((100 + 8 * step, 96)) for step in range(6)]
    for frame in frames[:3]:
        one.find(frame)
    other, _ = mask_of()
    memory = one.memory()
    assert memory is not None
    assert all(part.dtype == np.uint8 for part in memory)
    other.recall(memory)
    for frame in frames[3:]:
        np.testing.assert_array_equal(one.find(frame), other.find(frame))


def test_after_the_change_over_the_past_does_not_count() -> None:
    frames = [room((100 + 6 * step, 96)) for step in range(8)]
    long, _ = mask_of()
    fresh, _ = mask_of()
    for number, frame in enumerate(frames):
        if number == 3:
            long.begin_anew()
        long.find(frame)
        if number >= 3:
            fresh.find(frame)
    long.change_over()
    last = room((150, 96))
    # Only the motion into its first frame can tell them apart, and that is a cut for both.
    np.testing.assert_allclose(long.find(last), fresh.find(last), atol=1e-6)


def test_the_guided_filter_moves_an_edge_to_the_picture_s() -> None:
    guide = np.full((80, 80, 3), 30, np.uint8)
    guide[:, 40:] = (200, 90, 60)
    coarse = np.zeros((80, 80), np.float32)
    coarse[:, 43:] = 1
    refined = guided_mask(guide, cv2.blur(coarse, (9, 9)), radius=8)
    assert refined[:, :39].max() < 0.25
    assert refined[:, 41:].min() > 0.6


def test_edges_are_looked_for_around_people_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    filtered = person_mask.guided_coefficients

    def noted(guide: Pixels, found: np.ndarray, radius: int) -> np.ndarray:
        seen.append(found.size)
        return filtered(guide, found, radius)

    monkeypatch.setattr(person_mask, "guided_coefficients", noted)
    frame = room((60, 70))
    mask, _ = mask_of()
    apart = mask.refine(frame, mask.find(frame))
    monkeypatch.setattr(
        person_mask, "_around", lambda most, length: (slice(0, len(most)), slice(0, length))
    )
    whole = mask.refine(frame, mask.find(frame))
    assert seen[0] < 0.4 * seen[1]
    assert np.abs(apart.astype(int) - whole).max() <= 8


def test_a_picture_is_composed_in_place_of_either() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:40] = 255
    mask[15, 25] = 128
    person, background = (np.full((40, 60, 3), level, np.uint8) for level in (200, 40))
    apart = np.empty_like(person)
    compose(mask, person, background, apart)
    for target in (person.copy(), background.copy()):
        mine = target if target[0, 0, 0] == 200 else person
        other = target if mine is person else background
        compose(mask, mine, other, target)
        assert np.array_equal(target, apart)
    assert apart[15, 25, 0] == 120
    assert (apart[:10] == 40).all()
    nobody = np.zeros_like(mask)
    compose(nobody, person, background, apart)
    assert (apart == 40).all()


def test_pictures_are_composed_by_the_mask() -> None:
    person, background = np.full((4, 6, 3), 200, np.uint8), np.full((4, 6, 3), 100, np.uint8)
    mask = np.zeros((4, 6), np.uint8)
    mask[:, 2:4], mask[:, 4:] = 128, 255
    target = np.empty_like(person)
    compose(mask, person, background, target)
    assert (target[:, :2] == 100).all()
    assert np.abs(target[:, 2:4].astype(int) - 150).max() <= 1
    assert (target[:, 4:] == 200).all()
    compose(mask, person, background, background)
    np.testing.assert_array_equal(background, target)


def test_what_is_not_selected_does_not_bleed_into_the_blur() -> None:
    frame = np.zeros(SIZE.shape, np.uint8)
    frame[...] = (20, 60, 20)
    frame[60:, 120:200] = (255, 0, 0)
    weights = np.ones((SIZE.height, SIZE.width), np.float32)
    weights[56:, 116:204] = 0
    blurred = out_of_focus(frame, 1.0, weights)
    assert blurred[100, 112:116, 0].max() < 40
    bled = out_of_focus(frame, 1.0, np.ones_like(weights))
    assert bled[100, 112:116, 0].min() > 60


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_a_blur_keeps_the_size_and_grows_with_its_strength(strength: float) -> None:
    frame = np.random.default_rng(3).integers(0, 256, SIZE.shape, dtype=np.uint8)
    blurred = out_of_focus(frame, strength, np.ones((4, 4), np.float32))
    assert blurred.shape == frame.shape
    assert blurred.std() < frame.std() / (2 + 4 * strength)


def test_a_shown_mask_leaves_the_person_and_darkens_the_rest() -> None:
    frame = np.full((4, 4, 3), 200, np.uint8)
    mask = np.zeros((4, 4), np.uint8)
    mask[:, 2:] = 255
    target = np.empty_like(frame)
    show_mask(mask, frame, target)
    assert (target[:, 2:] == 200).all()
    assert (target[:, :2, 0] < 120).all()
