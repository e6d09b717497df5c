"""YAML of the user's is read, or refused with its line: it never ends who reads it."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

from obs_stylizer.errors import DocumentError, PresetError
from obs_stylizer.presets import PresetLibrary, load_preset
from obs_stylizer.settings import load_settings
from obs_stylizer.yaml_text import read_yaml, write_yaml

PATH = Path("it.yaml")
LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("title: A\na: &x [*x]\n", 2, "“*x” stands inside of what it refers to"),
        ("title: A\na: &x\n  b: {c: *x}\n", 3, "stands inside"),
        ("title: A\na: &x\n  <<: *x\n", 3, "stands inside"),
        ("title: A\na: " + "[" * 3000, 2, "deeper than 40"),
        ("title: A\n" + "- " * 3000, 2, "expected"),
        ("- " * 3000, 1, "deeper than 40"),
        ("title: A\na: " + "{a: " * 3000, 2, "deeper than 40"),
        ("? " * 3000, 1, "deeper than 40"),
        (LAUGHS, 1, "more than 20000 values"),
        ("title: A\n" + "a: 1\n" * 30_000, 10_000, "more than 20000 values"),
        ("title: A\na: !!timestamp x\n", 2, "“!timestamp” is not known here"),
        ("title: A\na: !!bool maybe\n", 2, "“maybe” is no truth value"),
        ("title: A\na: !!int x\n", 2, "“x” is no whole number"),
        ("title: A\na: " + "9" * 5000, 2, "is no whole number"),
        ("title: A\na: !!binary '='\n", 2, "“!binary” is not known here"),
        ("title: A\na: !!python/object:os.system x\n", 2, "is not known here"),
        ("title: A\n? [b]\n: c\n", 2, "a key must be text"),
        ("title: A\n<<: 3\n", 2, "takes in sections only"),
        ("title: A\na: \x07\n", 2, "the character U+0007"),
        ("title: A\na: \ud800\n", 2, "the character U+D800"),
        ("title: A\n---\ntitle: B\n", 2, "another document"),
        ("title: A\nb:\n  c: 1\n  c: 2\n", 4, "c: stands there twice"),
    ],
)
def test_what_is_no_document_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_yaml(text, PATH)
    assert caught.value.line == line
    assert words in str(caught.value)


def test_text_is_what_stands_there() -> None:
    text = """
title: 2025-02-30
On: 12:30
12:30: yes
1: [on, 1_000, =, 010, 0o10, 0x1F, 1e3, .5, -.inf, true, ~, null]
"2": ["null", !!str 1]
"""
    assert read_yaml(text, PATH)[0] == {
        "title": "2025-02-30",
        "On": "12:30",
        "12:30": "yes",
        "1": ["on", "1_000", "=", 10, 8, 31, 1e3, 0.5, float("-inf"), True, None, None],
        "2": ["null", "1"],
    }


def test_anchors_that_end_are_followed() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]\nd: {<<: [{x: 5}, *a]}\n"
    both = {"x": 1, "y": 2}
    assert read_yaml(text, PATH)[0] == {
        "a": both,
        "b": {"x": 1, "y": 3},
        "c": [both, both],
        "d": {"x": 5, "y": 2},
    }


def test_nothing_but_our_error_comes_out_of_random_text() -> None:
    chance = random.Random(5)
    pieces = [
        *"abc[]{}&*!|>'\"%@`,?#\t\n",
        "&a ",
        "*a",
        "<<: ",
        ": ",
        "- ",
        "\n  ",
        "!!int ",
        "---\n",
    ]
    pieces += [
        "2025-02-30",
        "1:30",
        "%YAML 1.1\n",
        "~",
        "\0",
        "title: A\n",
        "!!set ",
        "é",
        "\ufeff",
    ]
    read = refused = 0
    for _ in range(1500):
        text = "".join(chance.choices(pieces, k=chance.randint(1, 12)))
        try:
            read_yaml(text, PATH)
            read += 1
        except DocumentError:
            refused += 1
    assert min(read, refused) > 50


def test_what_we_write_is_read_back() -> None:
    chance = random.Random(6)
    pieces = ["on", "1", "0o7", "1e5", "1:30", "_", "-", ".", "~", "null", "=", "<<", " ", ":", "#"]
    pieces += [*"&*!|>'\"%@`{}[],?\n\té\u2028\x85\u3000", "2025-02-30", "---", ".nan", "😀"]

    def text() -> str:
        return "".join(chance.choices(pieces, k=chance.randint(0, 4)))

    values = {text(): text() for _ in range(150)}
    values |= {f"{number}": [number, number / 7, -number * 1e20] for number in range(9)}
    assert read_yaml(write_yaml(values), PATH)[0] == values


@pytest.mark.parametrize("text", ["title: 2025-02-30\na: b", "a: &x [*x]", "a: " + "[" * 3000])
def test_library_goes_on_behind_such_a_file(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("title: Good\n", "utf-8")
    library = PresetLibrary([tmp_path])
    bad.write_text(text, "utf-8")
    assert library.refresh() == set()
    assert library.names() == ["good"]
    assert "bad.yaml:" in caplog.text
    with pytest.raises(PresetError, match=r"bad\.yaml:"):
        library.get("bad")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are pipes with a name on POSIX only")
def test_library_opens_nothing_that_would_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "gone.yaml").symlink_to("gone.yaml")
    (tmp_path / "good.yaml").write_text("title: Good\n", "utf-8")
    library = PresetLibrary([tmp_path])
    assert library.names() == ["good"]
    with pytest.raises(PresetError, match="no ordinary file"):
        library.get("pipe")


def test_presets_stay_where_their_folder_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "good.yaml").write_text("title: Good\n", "utf-8")
    library = PresetLibrary([tmp_path])

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", refuse)
        assert library.refresh() == set()
        assert library.refresh() == set()
    assert library.names() == ["good"]
    assert caplog.text.count("cannot be read") == 1


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_no_text_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.yaml")).write_text("title: A\n", "utf-8")
    library = PresetLibrary([tmp_path])
    assert library.refresh() == set()
    assert library.names() == []
    assert caplog.text.count(r"caf\xe9.yaml: its name is no text") == 1


def test_scenes_that_look_like_something_else_are_names(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("obs:\n  scenes:\n    On: ink\n    12:30: leave\n    2025-02-30: on\n", "utf-8")
    scenes = load_settings(path).obs.scenes
    assert {name: scene.preset for name, scene in scenes.items()} == {
        "On": "ink",
        "12:30": "",
        "2025-02-30": "on",
    }


def test_a_day_that_does_not_exist_is_a_title(tmp_path: Path) -> None:
    path = tmp_path / "day.yaml"
    path.write_text("title: 2025-02-30\nmirror: yes\n", "utf-8")
    preset = load_preset(path)
    assert (preset.title, preset.mirror) == ("2025-02-30", True)


def test_nobody_else_reads_or_writes_yaml() -> None:
    """PyYAML and ruamel know more than a document of ours may say; the rules are in one place."""
    package = Path(__file__).parents[1] / "obs_stylizer"
    users = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"^\s*(?:import|from) (?:yaml|ruamel)\b", path.read_text("utf-8"), re.M)
    }
    # The nodes that know their lines; and the one that keeps comments, with our reader's rules.
    assert users == {"yaml_text.py", "documents.py", "web/settings_file.py"}
