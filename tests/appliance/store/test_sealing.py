"""Secrets at rest open only under their key, in their row, unchanged."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from appliance.store.sealing import Sealer, SealError, make_master_key, read_master_key

KEY = bytes(range(32))


def test_what_was_sealed_opens_and_two_boxes_differ() -> None:
    sealer = Sealer(KEY)
    box = sealer.seal("ca", b"secret")
    assert sealer.open("ca", sealer.key_id, box) == b"secret"
    assert box != sealer.seal("ca", b"secret")
    assert b"secret" not in base64.b64decode(box)


def test_a_box_moved_to_another_row_does_not_open() -> None:
    sealer = Sealer(KEY)
    with pytest.raises(SealError, match="was changed"):
        sealer.open("other", sealer.key_id, sealer.seal("ca", b"secret"))


def test_another_key_is_named_as_the_reason() -> None:
    sealer, other = Sealer(KEY), Sealer(bytes(32))
    with pytest.raises(SealError, match="another master key"):
        other.open("ca", sealer.key_id, sealer.seal("ca", b"secret"))
    with pytest.raises(SealError, match="was changed"):
        other.open("ca", other.key_id, sealer.seal("ca", b"secret"))


@pytest.mark.parametrize("place", [0, 12, -1])
def test_a_changed_box_does_not_open(place: int) -> None:
    sealer = Sealer(KEY)
    raw = bytearray(base64.b64decode(sealer.seal("ca", b"secret")))
    raw[place] ^= 1
    with pytest.raises(SealError):
        sealer.open("ca", sealer.key_id, base64.b64encode(raw).decode())
    with pytest.raises(SealError):
        sealer.open("ca", sealer.key_id, "not base64!")


def test_the_master_key_is_made_once_and_is_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    assert read_master_key(path) is None
    made = make_master_key(path)
    assert read_master_key(path) == made
    assert make_master_key(path) == made  # someone else was first
    assert path.stat().st_mode & 0o777 == 0o600
    assert [it.name for it in tmp_path.iterdir()] == ["master.key"]


def test_a_key_that_others_can_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    make_master_key(path)
    path.chmod(0o644)
    with pytest.raises(SealError, match="chmod 600"):
        read_master_key(path)
    path.chmod(0o440)
    (tmp_path / "link").symlink_to(path)  # as Kubernetes mounts a secret
    assert read_master_key(tmp_path / "link") == read_master_key(path)
    path.chmod(0o600)
    path.write_text("not base64!")
    with pytest.raises(SealError, match="not base64"):
        read_master_key(path)
    with pytest.raises(SealError, match="32 bytes"):
        Sealer(b"short")
