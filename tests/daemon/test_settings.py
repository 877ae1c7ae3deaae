"""Settings and their values: every source, every refusal. What each program has of them is tested beside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon import values
from daemon.settings import MAX_CONFIG_BYTES, ConfigError, Setting, Settings, refuse_weak_mode
from daemon.values import Address

SETTINGS = Settings(
    "the ferry",
    "FERRY_",
    re.compile(r"FERRY_(SERVICE_HOST|TEST_)"),
    (
        Setting("name", values.text, None, "What it is called.", example="Ahoy"),
        Setting("engine.power", values.whole(1, 100), 7, "How strong."),
        Setting("engine.loud", values.switch, None, "How loud."),
    ),
)


def written(tmp_path: Path, text: str, mode: int = 0o644) -> Path:
    file = tmp_path / "ferry.toml"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_the_environment_goes_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = written(tmp_path, 'name = "A"\n[engine]\nloud = true\n')
    assert SETTINGS.load(file, {}) == {"name": "A", "engine.power": 7, "engine.loud": True}
    given = {"FERRY_NAME": "B", "FERRY_ENGINE_POWER": "9", "FERRY_SERVICE_HOST": "x", "OTHER": "y"}
    assert SETTINGS.load(file, given) == {"name": "B", "engine.power": 9, "engine.loud": True}
    assert SETTINGS.load(None, {"FERRY_NAME": "B"})["engine.loud"] is None


@pytest.mark.parametrize(
    ("text", "environment", "sentence"),
    [
        ("", {}, 'name is not set: put it into the settings file or into FERRY_NAME, for example name = "Ahoy".'),
        ("name = 1", {}, "ferry.toml: name must be a text."),
        ('name = "A"', {"FERRY_ENGINE_POWER": "0"}, "FERRY_ENGINE_POWER: engine.power must be a whole number from 1"),
        ('nam = "A"', {}, "ferry.toml: there is no setting nam."),
        ('name = "A"\n[engines]\npower = 1', {}, "there is no section [engines]."),
        ('name = "A"\n[engine]\nspeed = 1', {}, "there is no setting engine.speed."),
        ('name = "A"\n[name]', {}, "is not TOML"),
        ("name = ", {}, "is not TOML"),
        (
            'name = "A"',
            {"FERRY_INSECURE": "1"},
            "The environment variable FERRY_INSECURE is not a setting of the ferry.",
        ),
        ("#" * (MAX_CONFIG_BYTES + 1), {}, "is larger than 256 KiB"),
    ],
)
def test_what_is_wrong_is_one_sentence_that_names_it(
    tmp_path: Path, text: str, environment: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        SETTINGS.load(written(tmp_path, text), environment)
    assert sentence in str(caught.value)


def test_a_file_that_others_can_change_or_nobody_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can be changed by others: run `chmod go-w"):
        SETTINGS.load(written(tmp_path, 'name = "A"', 0o664), {})
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        SETTINGS.load(tmp_path / "other.toml", {})
    with pytest.raises(ConfigError, match=r"key .*secret has mode 0644, open to others: run `chmod 0600"):
        file = tmp_path / "secret"
        file.touch(0o644)
        refuse_weak_mode(file, 0o077, "key", "chmod 0600")


def test_the_reference_names_all_of_it() -> None:
    assert SETTINGS.reference().splitlines() == [
        "name  (FERRY_NAME; required)",
        "    What it is called.",
        "engine.power  (FERRY_ENGINE_POWER; default 7)",
        "    How strong.",
        "engine.loud  (FERRY_ENGINE_LOUD; optional)",
        "    How loud.",
    ]


URL = values.https_url("https://10.0.0.1:6443")


@pytest.mark.parametrize(
    ("read", "given", "value"),
    [
        (values.path, "/a", Path("/a")),
        (values.address, ":8443", Address(None, 8443)),
        (values.address, "[::1]:0", Address("::1", 0)),
        (URL, "https://Example.com", ("example.com", None)),
        (URL, "https://[::1]:6443/", ("::1", 6443)),
        (values.choice("a", "b"), "b", "b"),
        (values.whole(0, 600), "0600", 600),
        (values.whole(-5, 5), -5, -5),
        (values.switch, False, False),
        (values.switch, "true", True),
    ],
)
def test_a_value_is_read(read: Callable[[Any], Any], given: Any, value: Any) -> None:
    assert read(given) == value


@pytest.mark.parametrize(
    ("read", "given"),
    [
        (values.text, ""),
        (values.text, "a\0"),
        (values.path, "a"),
        (values.address, "::1:80"),
        (values.address, "localhost:80"),
        (values.address, "127.0.0.1:65536"),
        (values.address, ":0"),
        (URL, "http://a.example.com"),
        (URL, "https://a.example.com/x"),
        (URL, "https://u@a.example.com"),
        (URL, "https://a.example.com?x"),
        (URL, "https://a b"),
        (URL, "https://a%62"),
        (URL, "https://a:70000"),
        (values.choice("a"), "A"),
        (values.whole(0, 5), 6),
        (values.whole(0, 5), True),
        (values.whole(0, 5), "1.0"),
        (values.switch, 1),
        (values.switch, 0),
        (values.switch, "yes"),
    ],
)
def test_another_value_is_refused_with_a_phrase(read: Callable[[Any], Any], given: Any) -> None:
    with pytest.raises(ValueError, match=r"^(a |an |one |true )"):
        read(given)
