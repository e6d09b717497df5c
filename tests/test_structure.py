"""The house: no circle of imports, and names that the field knows."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = sorted(ROOT.glob("obs_stylizer/**/*.py"))
INSTALLER = sorted(ROOT.glob("installer/*.py"))
TESTS = sorted(ROOT.glob("tests/**/*.py"))

VAGUE = {"utils", "util", "helpers", "helper", "common", "core", "manager", "globals", "misc"}

METAPHORS = re.compile(
    r"(?:^|_)(?:desks?|announcers?|announcements?|hearers?|audiences?|belts?|crews?|wish|wishes|"
    r"doors?|claims?|games?|steadying|fidelity|likeness|roomy|patience|excuses?|effort|looks|"
    r"joining|makers|judges|folded_layers)(?:_|$)",
)
"""Words that once were names here and told a newcomer nothing."""


def module_name(path: Path) -> str:
    if path.is_relative_to(ROOT / "installer"):
        return path.stem
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, known: set[str]) -> Iterator[str]:
    """Every module of ours that ``path`` imports when it runs, at its top or later."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in inner if name in known]
            yield from modules or [name for name in [node.module] if name in known]


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one circle in the order of their imports; empty if there is none."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph[name]):
            found = visit(other, [*way, name])
            if found:
                return found
        done.add(name)
        return []

    return next(filter(None, (visit(name, []) for name in sorted(graph))), [])


def graph_of(files: list[Path]) -> dict[str, set[str]]:
    known = {module_name(path) for path in files}
    return {module_name(path): set(imports_of(path, known)) - {module_name(path)} for path in files}


@pytest.mark.parametrize("files", [PACKAGE, INSTALLER], ids=["package", "installer"])
def test_no_module_imports_itself_by_way_of_others(files: list[Path]) -> None:
    assert circle_in(graph_of(files)) == []


def test_a_circle_would_be_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}
    found = circle_in(graph)
    assert found
    assert found[0] == found[-1]
    assert all(after in graph[before] for before, after in pairwise(found))


def test_no_module_has_a_name_that_says_nothing() -> None:
    names = {path.stem for path in (*PACKAGE, *INSTALLER)}
    names |= {path.parent.name for path in (*PACKAGE, *INSTALLER)}
    assert not names & VAGUE


def identifiers(path: Path) -> set[str]:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    names = {token.string for token in tokens if token.type == tokenize.NAME}
    return names | {path.stem, path.parent.name}


def split_words(name: str) -> str:
    """``LookLoader`` and ``look_loader`` alike as ``look_loader``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def test_no_name_is_a_metaphor_of_our_own() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (*PACKAGE, *INSTALLER, *TESTS)
        for name in identifiers(path)
        if METAPHORS.search(split_words(name)) and not name.startswith("test_")
    }
    assert not found


def test_a_metaphor_would_be_found() -> None:
    for name in ("FakeDesk", "obs_door", "_claim", "Looks", "gan_game"):
        assert METAPHORS.search(split_words(name))
    for name in ("desktop_entry", "look_around", "doorway"):
        assert not METAPHORS.search(split_words(name))


def test_the_readme_names_files_that_there_are() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    architecture = readme.split("### Architecture")[1].split("###")[0]
    named = re.findall(r"`([a-z_/]+(?:\.py|/))`", architecture)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / "obs_stylizer" / name).exists()] == []


def test_the_readme_names_the_layers_that_are_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    readme = (ROOT / "README.md").read_text("utf-8")
    chain = re.search(r"^    cli → (?:.*\n)+?\n", readme, re.MULTILINE)
    assert chain is not None
    told = [layer.split(", ") for layer in " ".join(chain[0].split()).split(" → ")]
    assert told == [layer.split(" | ") for layer in layers]
