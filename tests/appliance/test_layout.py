"""The data directory: closed to others, and for one appliance at a time."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from appliance.layout import InUseError, Layout, replace_file


def test_the_directory_is_closed_to_others(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "a" / "b")
    layout.make()
    layout.make()

    assert stat.S_IMODE(layout.root.stat().st_mode) == 0o700


def test_one_appliance_at_a_time(tmp_path: Path) -> None:
    layout = Layout(tmp_path)

    refused = pytest.raises(InUseError, match=r"Another appliance runs with the data in .*\.")
    with layout.claimed(), refused, layout.claimed():
        pass
    with layout.claimed():
        pass


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    replace_file(path, "one")
    replace_file(path, "two")

    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]
