"""Errors in YAML files name file, line, key and remedy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from obs_stylizer import presets
from obs_stylizer.errors import PresetError, SettingsError
from obs_stylizer.presets import Preset, PresetLibrary, load_preset
from obs_stylizer.settings import ObsSettings, Settings, WebSettings, load_settings

GOOD = "title: Great Wave\nmodel: paintings\nstyles:\n  great-wave: 1\nstrength: 0.9\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("title: A\nstrenght: 1\n", 2, "strenght", "did you mean “strength”?"),
        ("title: A\nstrength: 2\n", 2, "strength", "less than or equal to 1, not 2"),
        ("title: A\nbefore:\n  gamma: 9\n", 3, "before.gamma", "less than or equal to 5"),
        ("title: A\nbefore:\n  gama: 1\n", 3, "before.gama", "did you mean “gamma”?"),
        ("strength: 1\n", 1, "title", "is missing"),
        ("title: A\nprocess_size: 641x360\n", 2, "process_size", "is odd"),
        ("title: A\nprocess_size: 8x8\n", 2, "process_size", "out of range"),
        ("title: A\nfit: zoom\n", 2, "fit", "'crop', 'fit' or 'stretch'"),
        ("title: A\nstyles:\n  wave: -1\n", 3, "styles.wave", "greater than or equal to 0"),
        ("title: A\nstrength: .nan\n", 2, "strength", "not nan"),
        ("title: A\ntitle: B\n", 2, "title", "twice"),
        ("title: [A\n", 2, "", "expected"),
        ("- a\n- b\n", 1, "", "key: value"),
    ],
)
def test_wrong_preset(tmp_path: Path, text: str, line: int, key: str, words: str) -> None:
    path = write(tmp_path, "wrong", text)
    with pytest.raises(PresetError) as caught:
        load_preset(path)
    assert caught.value.path == path
    assert (caught.value.line, caught.value.key) == (line, key)
    assert words in str(caught.value)
    assert f"{path}:{line}" in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        load_settings(tmp_path / "none.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(binary)
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * 1_000_001)
    with pytest.raises(SettingsError, match="megabyte"):
        load_settings(huge)


def test_settings_have_a_default_for_everything_and_say_what_each_is(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, "empty", "")) == Settings()
    fields = Settings.model_json_schema()["properties"]
    assert all(field.get("description") or "$ref" in field for field in fields.values())


def test_settings_refuse_an_odd_size(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="1280x720"):
        load_settings(write(tmp_path, "odd", "fps: 30\nsize: 1281x720\n"))


def test_password_is_not_shown() -> None:
    assert "hunter2" not in repr(Settings.model_validate({"obs": {"password": "hunter2"}}))


def test_users_preset_wins_and_a_change_is_seen(tmp_path: Path) -> None:
    bundled, own = tmp_path / "bundled", tmp_path / "own"
    bundled.mkdir()
    own.mkdir()
    write(bundled, "wave", GOOD)
    library = PresetLibrary([bundled, own], bundled=bundled)
    assert library.get("wave").bundled
    write(own, "wave", GOOD.replace("Great Wave", "Mine"))
    assert library.refresh() == {"wave"}
    assert library.get("wave").preset.title == "Mine"
    assert library.refresh() == set()
    (own / "wave.yaml").unlink()
    assert library.refresh() == {"wave"}
    assert library.get("wave").preset.title == "Great Wave"


def test_preset_broken_while_on_air_keeps_its_last_good_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, "wave", GOOD)
    library = PresetLibrary([tmp_path])
    path.write_text("title: [broken\n", "utf-8")
    assert library.refresh() == set()
    assert library.get("wave").preset.title == "Great Wave"
    assert "the last good one stays" in caplog.text
    assert path in library.errors
    caplog.clear()
    library.refresh()
    assert not caplog.records


def test_unknown_preset_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "great-wave", GOOD)
    with pytest.raises(PresetError, match="did you mean “great-wave”"):
        PresetLibrary([tmp_path]).get("greatwave")


def test_broken_preset_says_so_when_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "bad", "title: A\nstrength: 7\n")
    library = PresetLibrary([tmp_path])
    assert library.names() == []
    with pytest.raises(PresetError, match=r"bad\.yaml:2"):
        library.get("bad")


def test_broken_preset_of_the_users_hides_the_bundled_one_and_no_other(tmp_path: Path) -> None:
    bundled, own = tmp_path / "bundled", tmp_path / "own"
    bundled.mkdir()
    own.mkdir()
    write(bundled, "wave", GOOD)
    write(bundled, "storm", GOOD)
    write(own, "wave", "title: [broken\n")
    library = PresetLibrary([bundled, own], bundled=bundled)
    assert library.names() == [named.name for named in library.all()] == ["storm"]
    with pytest.raises(PresetError, match=r"own.wave\.yaml"):
        library.get("wave")


def test_other_threads_see_a_refresh_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = write(tmp_path, "gone", GOOD), write(tmp_path, "stays", GOOD)
    library = PresetLibrary([tmp_path])
    gone.unlink()
    stays.write_text("title: [broken\n", "utf-8")
    for name in ("new", "newer"):
        write(tmp_path, name, GOOD)
    seen = []

    def read(path: Path) -> Preset:
        with ThreadPoolExecutor(1) as other:
            seen.append(other.submit(lambda: (library.names(), library.errors)).result())
            assert other.submit(library.get, "gone").result().preset.title == "Great Wave"
        return load_preset(path)

    monkeypatch.setattr(presets, "load_preset", read)
    library.refresh()
    assert seen == [(["gone", "stays"], {})] * 3
    assert library.names() == ["new", "newer", "stays"]
    assert list(library.errors) == [stays]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("obs: {password: 123456}", "obs.password: must be text: put it in quotation marks"),
        ("obs: {scenes: {Talk: 3}}", "obs.scenes.Talk: must be a preset, leave, or {preset:"),
        ("obs: {scenes: {Talk: true}}", "belongs in quotation marks"),
        ("obs: {text_input: 12}", "a valid string, not 12 (put it in quotation marks)"),
        ("obs:\n  scenes:\n    A: leave\n    @x: wave", "config.yaml:4: found character '@'"),
        ("obs:\n  scenes:\n    &b: wave", "config.yaml:3: a key is empty (put the name in quot"),
        ("obs:\n  scenes:\n    A: x\n    a #b: wave\n    C: x", "config.yaml:4: could not find "),
        (
            "obs:\n  scenes:\n    A: x\n    a #b: wave\n    C: x",
            "put text with signs in it in quotation",
        ),
        ("obs: {scenes: {Talk: {strenth: 1}}}", "did you mean “strength”?"),
        ("obs: {scenes: {Talk: {x: 1}}}", "known keys: crossfade_ms, preset, strength"),
        ("obs: {default: {presett: wave}}", "did you mean “preset”?"),
    ],
)
def test_mistake_about_obs_names_the_place(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as error:
        load_settings(path)
    assert said in str(error.value)
    assert "123456" not in str(error.value)


def test_password_is_not_shown_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OBS_WEBSOCKET_PASSWORD", raising=False)
    obs = Settings.model_validate({"obs": {"password": "private"}}).obs
    assert obs.secret == "private"
    assert "private" not in f"{obs!r} {obs} {obs.model_dump()} {obs.model_dump_json()}"
    monkeypatch.setenv("OBS_WEBSOCKET_PASSWORD", "another")
    assert obs.secret == "another"


def test_obs_is_looked_for_only_if_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OBS_WEBSOCKET_PASSWORD", raising=False)
    assert not Settings().obs.is_wanted
    assert Settings.model_validate({"obs": {"scenes": {"A": "wave"}}}).obs.is_wanted
    assert Settings.model_validate({"obs": {"enabled": True}}).obs.is_wanted
    assert not Settings.model_validate({"obs": {"enabled": False, "port": 4460}}).obs.is_wanted
    monkeypatch.setenv("OBS_WEBSOCKET_PASSWORD", "another")
    assert Settings().obs.is_wanted


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("[fe80::1%eth0]", "fe80::1%eth0"),
        (" studio.local ", "studio.local"),
        ("localhost:", "localhost"),
        ("192.168.1.20", "192.168.1.20"),
    ],
)
def test_the_host_of_obs_is_read_as_people_write_it(given: str, host: str) -> None:
    assert ObsSettings(host=given).host == host


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("localhost:4469", "write localhost here, and port: 4469 in a line of its own"),
        ("[::1]:4469", "write ::1 here, and port: 4469"),
        ("ws://studio.local:4455", "write only its name, as in studio.local"),
        ("http://[::1]:4455/", "as in ::1"),
        ("studio.local/obs", "as in studio.local"),
        ("my studio", "is no name of a machine"),
        (":4455", "is no name of a machine"),
        ("[]", "is no name of a machine"),
        ("", "is no name of a machine"),
    ],
)
def test_what_is_no_host_is_refused_as_what_it_is(given: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"obs:\n  host: '{given}'\n", "utf-8")
    with pytest.raises(SettingsError) as error:
        load_settings(path)
    assert "config.yaml:2: obs.host: " in str(error.value)
    assert said in str(error.value)


def test_the_address_of_the_panel_may_stand_in_brackets() -> None:
    assert WebSettings(address="[::1]").address == "::1"
    with pytest.raises(ValueError, match="port: 8765 in a line of its own"):
        WebSettings(address="127.0.0.1:8765")
