"""Names from elsewhere as paths: none leads out, no two meet, and a directory is for its owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ops.cli import places, profiles
from ops.cli.faults import Fault


def test_no_two_names_are_one_element() -> None:
    names = ["a", "A", "a/b", "a%2fb", "..", ".", "", "%", "é", "e\u0301", "x" * 300, "x" * 301, "X" * 300]
    elements = [places.element(name) for name in names]
    assert len({it.lower() for it in elements}) == len(names)
    assert not [it for it in elements if "/" in it or it.startswith(".") or len(it) > 200]


def test_what_is_written_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(places.HOME_VARIABLE, str(tmp_path / "a" / "kept"))
    made = profiles.Profile("prod", "https://fairlead.example.com")
    profiles.change(lambda book: book.with_profile(made))
    assert profiles.read().chosen() == made
    assert {stat.S_IMODE(it.stat().st_mode) for it in (tmp_path / "a" / "kept").rglob("*")} == {0o600}
    assert stat.S_IMODE((tmp_path / "a" / "kept").stat().st_mode) == 0o700
    (tmp_path / "a" / "kept" / "config.json").write_text('{"profiles": []}')
    with pytest.raises(Fault, match="is not what this program writes"):
        profiles.read()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("fairlead.example.com", "https://fairlead.example.com"),
        ("https://Fairlead.example.com:443/", "https://fairlead.example.com"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("http://fairlead.example.com", None),
        ("https://fairlead.example.com/path", None),
        ("https://someone@fairlead.example.com", None),
        ("https://fairlead.example.com:x", None),
        ("https://:secret@fairlead.example.com", None),
        ("https://fairlead.example.com;id", None),
        ("https://", None),
    ],
)
def test_an_appliance_is_an_https_origin(given: str, meant: str | None) -> None:
    if meant is None:
        with pytest.raises(Fault, match="is no appliance's URL"):
            profiles.origin(given)
    else:
        assert profiles.origin(given) == meant
