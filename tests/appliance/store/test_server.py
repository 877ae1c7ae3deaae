"""The URL of a PostgreSQL: what is understood, what is refused, and that no refusal repeats a secret."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from appliance.store.server import MAX_URL_BYTES, Server, ServerFault, parse, read
from tests.support.certificates import TestCA

SECRET = "s3cr%40t"


def refusal(url: str) -> str:
    with pytest.raises(ServerFault) as caught:
        parse(url)
    sentence = str(caught.value)
    assert "s3cr" not in sentence
    assert "s3cr" not in str(caught.value.__cause__ or "")
    return sentence


def test_a_url_names_everything() -> None:
    server = parse(f"postgresql://fair%3Alead:{SECRET}@db.example.com:6432/fair%2Flead")

    assert server.hosts == (("db.example.com", 6432),)
    assert (server.user, server.password, server.database) == ("fair:lead", "s3cr@t", "fair/lead")
    assert "s3cr" not in repr(server)


def test_a_cluster_has_several_hosts() -> None:
    server = parse("postgres://u:p@a.example.com,[2001:db8::1]:5433/d")

    assert server.hosts == (("a.example.com", 5432), ("2001:db8::1", 5433))


@pytest.mark.parametrize("where", ["db.example.com", "192.0.2.1", "[2001:db8::1]", "localhost.example.com"])
@pytest.mark.parametrize("query", ["", "?sslmode=verify-full"])
def test_over_a_network_tls_is_verified_whatever_is_said(where: str, query: str) -> None:
    tls = parse(f"postgresql://u:p@{where}/d{query}").tls

    assert tls is not None
    assert tls.verify_mode is ssl.CERT_REQUIRED
    assert tls.check_hostname
    assert tls.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "VERIFY-FULL", "none"])
@pytest.mark.parametrize("where", ["db.example.com", "127.0.0.1,db.example.com"])
def test_no_mode_weakens_it(where: str, mode: str) -> None:
    assert "sslmode" in refusal(f"postgresql://u:{SECRET}@{where}/d?sslmode={mode}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@127.0.0.1/d",
        "postgresql://u:p@127.8.8.8/d?sslmode=disable",
        "postgresql://u:p@[::1]/d",
        "postgresql://u:p@localhost/d",
        "postgresql://u@/d?host=/run/postgresql",
    ],
)
def test_on_this_machine_it_may_be_left_out(url: str) -> None:
    assert parse(url).tls is None


def test_on_this_machine_it_may_be_asked_for() -> None:
    assert parse("postgresql://u:p@127.0.0.1/d?sslmode=verify-full").tls is not None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "not a URL of the form"),
        ("mysql://u:p@h/d", "not a URL of the form"),
        ("host=h user=u", "more than one URL"),
        ("postgresql://u:p@h/d\npostgresql://u:p@h/d", "more than one URL"),
        ("postgresql://h/d", "names no user"),
        (f"postgresql://:{SECRET}@h/d", "names no user"),
        (f"postgresql://u:{SECRET}@h", "no database"),
        (f"postgresql://u:{SECRET}@h/", "no database"),
        (f"postgresql://u:{SECRET}@h:99999/d", "no usable host"),
        (f"postgresql://u:{SECRET}@/d", "no usable host"),
        (f"postgresql://u:{SECRET}@a b/d", "spaces"),
        (f"postgresql://u:{SECRET}@{','.join('abcdefghi')}/d", "more than 8 hosts"),
        (f"postgresql://u:{SECRET}@h/d?passfile=/x", "the parameter passfile"),
        (f"postgresql://u:{SECRET}@h/d?{SECRET}=1", "the parameter ?"),
        (f"postgresql://u:{SECRET}@h/d?sslmode=verify-full&sslmode=disable", "twice"),
        (f"postgresql://u:{SECRET}@h/d?host=/run", "another host beside it"),
        (f"postgresql://u:{SECRET}@/d?host=db.example.com", "not the directory of a socket"),
        (f"postgresql://u:{SECRET}@/d?host=/run&sslmode=verify-full", "over a socket"),
        (f"postgresql://u:{SECRET}@h/d?sslrootcert=ca.pem", "relative path"),
        (f"postgresql://u:{SECRET}@h/d?sslrootcert=/nowhere/ca.pem", "sslrootcert that cannot be used: No such file"),
        (f"postgresql://u:{SECRET}@h/d?sslcert=/c.pem", "belong together"),
        (f"postgresql://u:{SECRET}@127.0.0.1/d?sslmode=disable&sslrootcert=/c.pem", "turns it off"),
        (f"postgresql://u:{SECRET}#@h/d", "not a URL of the form"),
    ],
)
def test_what_cannot_be_used_is_refused_without_a_secret(url: str, expected: str) -> None:
    assert expected in refusal(url)


def test_a_ca_of_ones_own_replaces_the_systems(tmp_path: Path) -> None:
    authority = TestCA.make()
    ca = tmp_path / "ca.pem"
    ca.write_text(authority.pem)

    tls = parse(f"postgresql://u:p@db.example.com/d?sslrootcert={ca}").tls

    assert tls is not None
    assert len(tls.get_ca_certs()) == 1
    ca.write_text("nothing")
    assert "not a certificate or key" in refusal(f"postgresql://u:p@db.example.com/d?sslrootcert={ca}")


def test_the_file_is_read_again_for_the_password_only(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://u:old@127.0.0.1/d\n")
    server = read(file, 3)
    assert (server.current_password(), server.connections) == ("old", 3)

    file.write_text("postgresql://u:new@127.0.0.1/d\n")
    assert server.current_password() == "new"
    file.write_text("half of a")
    assert server.current_password() == "old"
    assert isinstance(server, Server)


def test_a_file_that_is_none_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ServerFault, match="cannot be read: No such file"):
        read(tmp_path / "none")
    (tmp_path / "large").write_bytes(b"a" * (MAX_URL_BYTES + 1))
    with pytest.raises(ServerFault, match="too long"):
        read(tmp_path / "large")
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(ServerFault, match="not text"):
        read(tmp_path / "bytes")
