"""Settings: from the environment, validated, secrets redacted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from config.settings import Settings, SettingsError, get_settings, load, redact, to_environment
from recognition.images import ImageLimits
from recognition.profiles import DEFAULT, SEED
from workers.engine import limits, profile


@pytest.fixture(autouse=True)
def _forget_cached_settings() -> None:
    get_settings.cache_clear()


def test_defaults_need_no_environment() -> None:
    settings = load()
    assert settings.redis.url == "redis://127.0.0.1:6379/0"
    assert settings.extractor == "xfeat"
    assert settings.match.neighbours is None


def test_nested_fields_come_from_double_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARQ_REDIS__URL", "redis://box:1234/5")
    monkeypatch.setenv("LANDMARQ_MATCH__NEIGHBOURS", "7")
    monkeypatch.setenv("LANDMARQ_LOG__JSON", "true")
    monkeypatch.setenv("LANDMARQ_INDEX_DIR", "/srv/index")
    settings = load()
    assert settings.redis.url == "redis://box:1234/5"
    assert settings.match.neighbours == 7
    assert settings.log.json_lines
    assert settings.index_path == Path("/srv/index")


def test_the_index_is_in_the_data_folder_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARQ_DATA_DIR", "/srv/data")
    assert load().index_path == Path("/srv/data/index")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LANDMARQ_REDIS__URL", "http://somewhere"),
        ("LANDMARQ_REDIS__VISIBILITY_TIMEOUT_S", "1"),
        ("LANDMARQ_REDIS__CONNECT_TIMEOUT_S", "0"),
        ("LANDMARQ_REDIS__URI", "redis://box"),
        ("LANDMARQ_REDIS", "redis://box"),
        ("LANDMARQ_EXTRACTOR", "sift"),
        ("LANDMARQ_PROFILE", "best"),
        ("LANDMARQ_JOBS__MAX_ATTEMPTS", "0"),
        ("LANDMARQ_IMAGE__MAX_BYTES", "lots"),
        ("LANDMARQ_MATCH__METHOD", "guess"),
        ("LANDMARQ_MATCH__MAX_DISTANCE", "2.5"),
        ("LANDMARQ_VERIFY__RESIDUAL", "-1"),
        ("LANDMARQ_RANK__THRESHOLD", "1.5"),
        ("LANDMARQ_LOG__LEVEL", "LOUD"),
    ],
)
def test_a_bad_value_is_one_error_that_names_the_variable(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match="LANDMARQ_" + variable.removeprefix("LANDMARQ_").partition("__")[0]):
        load()


def test_all_bad_values_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARQ_MATCH__NEIGHBOURS", "-7")
    monkeypatch.setenv("LANDMARQ_RANK__THRESHOLD", "2")
    with pytest.raises(SettingsError, match=r"MATCH__NEIGHBOURS.*RANK__THRESHOLD"):
        load()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://box:1/0", "redis://box:1/0"),
        ("redis://user:hunter2@box:1/0", "redis://user:***@box:1/0"),
        ("redis://:hunter2@box", "redis://:***@box"),
        ("rediss://user:hun%40ter2@box:1/0", "rediss://user:***@box:1/0"),
    ],
)
def test_passwords_are_never_shown(url: str, shown: str) -> None:
    assert redact(url) == shown
    assert load(redis={"url": url}).redis.safe_url == shown


def test_a_refused_url_does_not_show_its_password_either() -> None:
    with pytest.raises(SettingsError) as caught:
        load(redis={"url": "http://user:hunter2@box"})
    assert "hunter2" not in str(caught.value)


def test_settings_are_read_once_and_never_change() -> None:
    settings = get_settings()
    assert get_settings() is settings
    with pytest.raises(ValidationError, match="frozen"):
        settings.extractor = "delf"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.redis.url = "redis://elsewhere"  # type: ignore[misc]


def test_overrides_go_on_top_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARQ_REDIS__VISIBILITY_TIMEOUT_S", "60")
    settings = load(redis={"url": "redis://box/1"})
    assert settings.redis.url == "redis://box/1"
    assert settings.redis.visibility_timeout_s == 60


def test_a_profile_is_overridden_field_by_field() -> None:
    settings = load(profile="seed", match={"neighbours": 3}, rank={"threshold": 0.9})
    chosen = profile(settings)
    assert chosen.match == replace(SEED.match, neighbours=3)
    assert chosen.rank == replace(SEED.rank, threshold=0.9)
    assert (chosen.extract, chosen.verify) == (SEED.extract, SEED.verify)
    assert profile(load()) == DEFAULT


@pytest.mark.parametrize("name", ["fast", "accurate"])
def test_presets_ask_the_same_index(name: str) -> None:
    chosen = profile(load(profile=name))
    assert chosen.extract.index_features == DEFAULT.extract.index_features
    assert (chosen.verify, chosen.rank) == (DEFAULT.verify, DEFAULT.rank)
    assert chosen != replace(DEFAULT, name=name)


def test_image_limits_come_from_the_settings() -> None:
    assert limits(load()) == ImageLimits()
    assert limits(load(image={"min_side": 100})).min_side == 100


def test_our_config_package_is_the_one_that_is_imported() -> None:
    # The name is generic enough for another distribution to overwrite it.
    assert Settings.__module__ == "config.settings"
    assert Path(__file__).parents[2] / "config" in Path(__import__("config").__file__ or "").parents


def test_another_process_gets_the_same_settings_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    here = load(data_dir="/data", profile="seed", rank={"max_candidates": 7}, log={"json": True}, delf={"handle": "/m"})
    for name, value in to_environment(here).items():
        monkeypatch.setenv(name, value)
    assert load() == here
    assert to_environment(here)["LANDMARQ_RANK__MAX_CANDIDATES"] == "7"
