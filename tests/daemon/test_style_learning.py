"""Learning a style on air: a process beside the daemon, which may do anything."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from obs_stylizer.control.learning_files import PREVIEW, THUMBNAIL, learning_folder
from obs_stylizer.daemon.style_learning import StyleLearner
from obs_stylizer.errors import UsageError
from obs_stylizer.frames import Frame
from obs_stylizer.inference.style_packs import styles_folder
from obs_stylizer.realtime.events import Event, StyleLearning
from obs_stylizer.settings import preset_folders

WORKS = """
import json, sys
say = lambda **said: print(json.dumps(said), flush=True)
print("a line that is no report", flush=True)
say(state="learning", share=0.25, seconds_left=3, style_ratio=0.5, thumbnail="/9j/", samples=1)
if sys.stdin.readline().strip() != "keep":
    sys.exit(0)
say(state="learnt", name="x")
"""
FAILS = """
import sys
sys.stderr.write("noise\\nerror: the picture has a single colour\\n")
sys.exit(1)
"""


PAINTS = """
import json, sys
print(json.dumps({"state": "learning", "exports": 1, "trouble": " ".join(sys.argv[1:]),
    "style_ratio": 0}), flush=True)
assert sys.stdin.readline().strip() == "forget"
"""


class Heard:
    """What was told of learning."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        assert isinstance(event, StyleLearning)
        with self._changed:
            self.said.append(dict(event.progress))
            self._changed.notify_all()

    def wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(wanted, self.said)), 60)
            return next(filter(wanted, self.said))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "My Drawing.png"
    path.write_bytes(b"a picture")
    return path


@pytest.fixture
def learner_of(heard: Heard) -> Iterator[Callable[[str], StyleLearner]]:
    made: list[StyleLearner] = []

    def make(program: str) -> StyleLearner:
        frame = Frame(np.zeros((36, 64, 3), np.uint8), 0, 0.0)
        made.append(StyleLearner(lambda: frame, heard, (sys.executable, "-c", program)))
        return made[-1]

    yield make
    for learner in made:
        learner.stop()


def is_at_work(said: dict[str, Any]) -> bool:
    return said["state"] == "learning" and "style_ratio" in said


def has_ended(said: dict[str, Any]) -> bool:
    return bool(said["state"] != "learning")


def test_it_is_followed_and_kept(
    learner_of: Callable[[str], StyleLearner], heard: Heard, picture: Path
) -> None:
    learner = learner_of(WORKS)
    with pytest.raises(UsageError, match="no style was learnt yet"):
        learner.more(5)
    assert learner.learn(str(picture), "", 5) == "my-drawing"
    said = heard.wait(is_at_work)
    assert (said["share"], said["name"]) == (0.25, "my-drawing")
    assert (learning_folder() / PREVIEW).stat().st_size
    assert (learning_folder() / THUMBNAIL).read_bytes() == b"\xff\xd8\xff"
    with pytest.raises(UsageError, match="the style my-drawing is being learnt"):
        learner.learn(str(picture), "other", 5)
    assert learner.keep() == "my-drawing"
    assert heard.wait(has_ended)["state"] == "learnt"
    for refused in (learner.keep, learner.forget):
        with pytest.raises(UsageError, match="no style is being learnt"):
            refused()
    heard.said.clear()
    assert learner.more(5) == "my-drawing"
    heard.wait(is_at_work)
    learner.stop()
    assert not learning_folder().exists()


def test_a_name_that_is_taken_gets_a_number(
    learner_of: Callable[[str], StyleLearner], heard: Heard, picture: Path
) -> None:
    own = preset_folders()[1]
    own.mkdir(parents=True, exist_ok=True)
    (own / "my-drawing.yaml").write_text("title: Mine\n", "utf-8")
    styles_folder().mkdir(parents=True, exist_ok=True)
    (styles_folder() / "my-drawing-2.style").write_text("", "utf-8")
    try:
        assert learner_of(WORKS).learn(str(picture), "", 5) == "my-drawing-3"
        assert learner_of(WORKS).learn(str(picture), "scream", 5) == "scream-2"
    finally:
        (own / "my-drawing.yaml").unlink()
        (styles_folder() / "my-drawing-2.style").unlink()
    heard.wait(is_at_work)


def test_it_is_forgotten(
    learner_of: Callable[[str], StyleLearner], heard: Heard, picture: Path
) -> None:
    learner = learner_of(WORKS)
    learner.learn(str(picture), "blue mood", 5)
    heard.wait(is_at_work)
    assert learner.forget() == "blue-mood"
    assert heard.wait(has_ended)["state"] == "forgotten"


def test_a_painted_frame_is_watched_and_forgotten_by_who_learns_it(
    learner_of: Callable[[str], StyleLearner], heard: Heard, picture: Path
) -> None:
    frame = picture.with_name("frame.png")
    learner = learner_of(PAINTS)
    with pytest.raises(UsageError, match="there is no picture"):
        learner.learn_keyframe(str(frame), str(picture), "", 5)
    frame.write_bytes(b"a picture")
    assert learner.learn_keyframe(str(frame), str(picture), "", 5) == "my-drawing"
    said = heard.wait(is_at_work)
    assert said["exports"] == 1
    assert f"learn --keyframe {frame}={picture} --watch --name my-drawing" in said["trouble"]
    assert learner.forget() == "my-drawing"
    assert heard.wait(has_ended)["state"] == "forgotten"


def test_a_process_that_fails_or_ends_at_once_says_why(
    learner_of: Callable[[str], StyleLearner], heard: Heard, picture: Path
) -> None:
    learner_of(FAILS).learn(str(picture), "", 5)
    ended = heard.wait(has_ended)
    assert (ended["state"], ended["trouble"]) == ("failed", "the picture has a single colour")
    heard.said.clear()
    learner_of("import os; os._exit(9)").learn(str(picture), "", 5)
    assert heard.wait(has_ended)["trouble"] == "it ended with 9"


def test_the_end_of_the_daemon_ends_it(
    learner_of: Callable[[str], StyleLearner], heard: Heard, picture: Path
) -> None:
    learner = learner_of(WORKS)
    learner.learn(str(picture), "", 5)
    heard.wait(is_at_work)
    learner.stop()
    assert heard.wait(has_ended)["state"] == "forgotten"
    with pytest.raises(UsageError, match="the daemon is ending"):
        learner.learn(str(picture), "", 5)


@pytest.mark.parametrize(
    ("name", "seconds", "says"),
    [("", 0, "out of range"), ("", 1e9, "out of range"), ("…", 5, "gives no name")],
)
def test_what_cannot_be_learnt_is_refused(
    learner_of: Callable[[str], StyleLearner],
    picture: Path,
    name: str,
    seconds: float,
    says: str,
) -> None:
    with pytest.raises(UsageError, match=says):
        learner_of(WORKS).learn(str(picture), name, seconds)
    with pytest.raises(UsageError, match="there is no picture"):
        learner_of(WORKS).learn(str(picture) + "x", "", 5)
