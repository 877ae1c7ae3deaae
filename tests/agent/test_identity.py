"""The agent's files: made here, kept whole, refused when others can enter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509

from agent.identity import DataDirectory, IdentityError, wall_seconds, write_private
from appliance.tunnel.authority import Authority, public_key_of

NOW = int(wall_seconds() * 1_000_000)


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    made = DataDirectory(tmp_path / "data")
    made.prepare()
    return made


def certified(directory: DataDirectory, authority: Authority) -> str:
    return authority.agent_certificate(public_key_of(directory.signing_request()), "c-1", 1, NOW).pem


def test_a_new_agent_is_nobody(directory: DataDirectory) -> None:
    assert directory.identity() is None
    assert directory.path.stat().st_mode & 0o777 == 0o700


def test_the_key_is_made_once_and_never_shown(directory: DataDirectory) -> None:
    first, second = directory.signing_request(), directory.signing_request()

    assert public_key_of(first) == public_key_of(second)
    assert "PRIVATE" not in first
    assert (directory.path / "agent.key").stat().st_mode & 0o777 == 0o600


def test_an_identity_survives_a_restart(directory: DataDirectory) -> None:
    authority = Authority.make(NOW)
    kept = directory.keep(
        cluster_id="c-1",
        url="https://a.example.com:5443",
        ca_pem=authority.certificate_pem,
        certificate_pem=certified(directory, authority),
        spent="mark",
    )

    again = DataDirectory(directory.path).identity()

    assert again == kept
    assert [path.stat().st_mode & 0o777 for path in sorted(directory.path.iterdir())] == [0o600] * 3


def test_a_crash_between_two_files_leaves_a_whole_identity(directory: DataDirectory) -> None:
    authority = Authority.make(NOW)
    kept = directory.keep(
        cluster_id="c-1",
        url="https://a",
        ca_pem=authority.certificate_pem,
        certificate_pem=certified(directory, authority),
        spent="m",
    )
    kept.certificate_path.write_text("of an older certificate")

    again = directory.identity()

    assert again is not None
    assert x509.load_pem_x509_certificate(again.certificate_path.read_bytes())


def test_a_certificate_for_another_key_is_not_kept(directory: DataDirectory, tmp_path: Path) -> None:
    other = DataDirectory(tmp_path / "other")
    other.prepare()
    authority = Authority.make(NOW)

    with pytest.raises(IdentityError, match="another key"):
        directory.keep(cluster_id="c", url="u", ca_pem="x", certificate_pem=certified(other, authority), spent="m")
    assert directory.identity() is None


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"cluster": 1, "url": 1, "ca": 1, "certificate": "x"}']
)
def test_a_damaged_credential_says_what_to_do(directory: DataDirectory, content: bytes) -> None:
    write_private(directory.path / "credential.json", content)

    with pytest.raises(IdentityError, match="enrol with a new bundle"):
        directory.identity()


def test_a_damaged_key_says_what_to_do(directory: DataDirectory) -> None:
    write_private(directory.path / "agent.key", b"nonsense")

    with pytest.raises(IdentityError, match="enrol with a new bundle"):
        directory.signing_request()


@pytest.mark.parametrize(
    "damage",
    [
        {"agent.key": b"nonsense"},
        {"credential.json": b"{}"},
        {"credential.json": b"\xff"},
        {"agent.key": b"another's"},
    ],
)
def test_what_cannot_be_taken_up_leaves_what_is_here(
    directory: DataDirectory, tmp_path: Path, damage: dict[str, bytes]
) -> None:
    """Somebody wrote something else where replicas share their identity."""
    other = DataDirectory(tmp_path / "other")
    other.prepare()
    for one in (directory, other):
        pem = certified(one, Authority.make(NOW))
        one.keep(cluster_id="c", url="u", ca_pem="x", certificate_pem=pem, spent="m")
    before = directory.content()
    if damage == {"agent.key": b"another's"}:
        damage = {"agent.key": before["agent.key"]}

    with pytest.raises(IdentityError):
        directory.take({**other.content(), **damage})
    assert directory.content() == before
    assert directory.identity() is not None

    directory.take(other.content())
    assert directory.content() == other.content()
    assert directory.identity() is not None


def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)

    with pytest.raises(IdentityError, match="chmod 0700"):
        DataDirectory(tmp_path / "open").prepare()


@pytest.mark.parametrize("ahead", [0, -3600, 86_400])
def test_renewal_is_due_after_a_third_whatever_the_clock_here_says(directory: DataDirectory, ahead: int) -> None:
    """`ahead`: this host's clock before the appliance's, which said what time it was."""
    authority = Authority.make(NOW)
    certificate = certified(directory, authority)
    theirs = int(wall_seconds()) - ahead
    good_until = x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc.timestamp()
    kept = directory.keep(
        cluster_id="c", url="u", ca_pem="x", certificate_pem=certificate, spent="m", their_clock=theirs
    )
    life = good_until - theirs

    assert kept.renewal_at(0) - kept.issued == pytest.approx(life / 3)
    assert kept.renewal_at(1) - kept.renewal_at(0) == pytest.approx(life / 30)
    assert not kept.expired(kept.issued + life - 60)
    assert kept.expired(kept.issued + life)


def test_a_credential_of_an_older_agent_is_read(directory: DataDirectory) -> None:
    authority = Authority.make(NOW)
    kept = directory.keep(
        cluster_id="c", url="u", ca_pem="x", certificate_pem=certified(directory, authority), spent="m"
    )
    content = json.loads((directory.path / "credential.json").read_bytes())
    del content["issued"], content["life"]
    write_private(directory.path / "credential.json", json.dumps(content).encode())

    older = directory.identity()

    assert older is not None
    assert older.issued < kept.issued
    assert older.issued + older.life == kept.not_after


def test_a_file_is_never_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "file.new").symlink_to(victim)

    with pytest.raises(IdentityError, match="cannot be written"):
        write_private(tmp_path / "file", b"x")
    assert victim.read_text() == "precious"
