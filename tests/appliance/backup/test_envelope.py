"""The encryption of a backup: whatever is done to the file, it does not open, and the sentence says what it is."""

from __future__ import annotations

import io
import os
import random

import pytest

from appliance.backup import envelope
from appliance.backup.envelope import CHUNK, TAG, Envelope, opened
from appliance.backup.faults import BackupDamaged, BackupError

PASSPHRASE = "correct horse battery staple"
HEAD = 43 + 32  # header and mac


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of a guess is not what is tested here."""
    monkeypatch.setattr(envelope, "LOG2_N", 4)
    monkeypatch.setattr(envelope, "P", 1)


def sealed(data: bytes, pieces: int = 7) -> bytes:
    file = io.BytesIO()
    made = Envelope(file, PASSPHRASE)
    for start in range(0, len(data), max(1, len(data) // pieces)):
        made.write(data[start : start + max(1, len(data) // pieces)])
    made.finish()
    return file.getvalue()


def unsealed(raw: bytes, passphrase: str = PASSPHRASE) -> bytes:
    return b"".join(opened(io.BytesIO(raw), passphrase))


NOISE = random.Random(1).randbytes(3 * CHUNK + 17)  # does not compress: four chunks and a bit


@pytest.mark.parametrize("data", [b"", b"x", b"ahoy\n" * 1_000_000, NOISE], ids=["empty", "byte", "text", "noise"])
def test_what_goes_in_comes_out(data: bytes) -> None:
    assert unsealed(sealed(data)) == data


@pytest.mark.parametrize("over", range(-20, 21))
def test_a_text_that_ends_near_a_chunk_comes_out(over: int) -> None:
    data = NOISE[: CHUNK + over]
    assert unsealed(sealed(data)) == data


def test_nothing_of_the_text_shows_and_two_are_never_alike() -> None:
    first, second = sealed(b"secret " * 1000), sealed(b"secret " * 1000)
    assert b"secret" not in first
    assert first[19:] != second[19:]


def test_another_passphrase_does_not_open_it() -> None:
    with pytest.raises(BackupError, match="passphrase is not the one"):
        unsealed(sealed(NOISE), "another")


def test_every_flipped_bit_is_found() -> None:
    raw = sealed(NOISE[:1000])
    rng = random.Random(2)
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << rng.randrange(8)
        with pytest.raises(BackupError):
            unsealed(bytes(changed))


@pytest.mark.parametrize("form", [0, 2, 255])
def test_another_form_is_named_as_such(form: int) -> None:
    raw = bytearray(sealed(b"x"))
    raw[16] = form
    with pytest.raises(BackupError, match="of a form that this program does not know"):
        unsealed(bytes(raw))


def test_a_header_cannot_ask_for_all_memory() -> None:
    raw = bytearray(sealed(b"x"))
    raw[17] = 40
    with pytest.raises(BackupDamaged, match="its header"):
        unsealed(bytes(raw))


@pytest.mark.parametrize("other", [b"", b"SQLite format 3\0" + bytes(100), b"fairlead back"])
def test_another_file_is_no_backup(other: bytes) -> None:
    with pytest.raises(BackupError, match="no backup of Fairlead"):
        unsealed(other)


def test_every_cut_is_found() -> None:
    raw = sealed(NOISE)
    chunk = CHUNK + TAG
    whole = [HEAD + number * chunk for number in range(1, 4)]
    for cut in [17, 50, HEAD, HEAD + 1, *whole, *(place + 5 for place in whole), len(raw) - 1]:
        with pytest.raises(BackupError) as refused:
            unsealed(raw[:cut])
        assert ("its end is missing" in str(refused.value)) is (cut in whole)


def test_something_added_is_found() -> None:
    raw = sealed(NOISE)
    for more in (b"x", os.urandom(CHUNK * 2)):
        with pytest.raises(BackupDamaged, match=r"added after the end|changed or cut"):
            unsealed(raw + more)
    whole = sealed(NOISE[: CHUNK - 50])  # ends within its only chunk
    padded = whole + bytes(CHUNK + TAG - (len(whole) - HEAD)) + b"more"
    with pytest.raises(BackupDamaged):
        unsealed(padded)


def test_chunks_do_not_change_places_nor_files() -> None:
    raw, other = sealed(NOISE), sealed(NOISE)
    chunk = CHUNK + TAG
    first, second = raw[HEAD : HEAD + chunk], raw[HEAD + chunk : HEAD + 2 * chunk]
    rest = raw[HEAD + 2 * chunk :]
    for wrong in (
        raw[:HEAD] + second + first + rest,
        raw[:HEAD] + first + first + rest,
        raw[:HEAD] + first + rest,
        raw[:HEAD] + other[HEAD:],
    ):
        with pytest.raises(BackupDamaged):
            unsealed(wrong)


def test_nothing_of_a_changed_chunk_is_given_out() -> None:
    raw = bytearray(sealed(NOISE))
    raw[HEAD + CHUNK + TAG + 100] ^= 1
    given: list[bytes] = []
    with pytest.raises(BackupDamaged, match=f"byte {HEAD + CHUNK + TAG}"):
        given.extend(opened(io.BytesIO(bytes(raw)), PASSPHRASE))
    assert NOISE.startswith(b"".join(given))


def test_a_small_file_that_swells_is_given_out_in_pieces() -> None:
    raw = sealed(bytes(64 * 1024 * 1024), pieces=64)
    assert len(raw) < 1024 * 1024
    assert max(len(piece) for piece in opened(io.BytesIO(raw), PASSPHRASE)) <= envelope.INFLATED
