"""tar both ways, and archives made to escape: none may write, or make a link, outside the target directory."""

from __future__ import annotations

import io
import tarfile

import pytest

from ops.demo.toy.streams.container import Container
from tests.ops.streams.rig_local import hosts_passwords, run, sh

pytestmark = pytest.mark.real_clock  # the archive is read in a thread


def archive(*entries: tuple[str, bytes | None, dict[str, object]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(mode="w", fileobj=out) as tar:
        for name, content, facts in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content or b"")
            for fact, value in facts.items():
                setattr(entry, fact, value)
            tar.addfile(entry, io.BytesIO(content or b""))
    return out.getvalue()


PLAIN = archive(("a/b.txt", b"hello", {"mode": 0o600, "mtime": 1}), ("a/c.txt", b"", {}))


@pytest.mark.parametrize(
    "options",
    [
        ("xf", "-", "-C", "/tmp"),
        ("-xf", "-", "-C", "/tmp"),
        ("xmf", "-", "-C", "/tmp"),
        ("-xmf", "-", "-C", "/tmp"),
        ("--no-same-permissions", "--no-same-owner", "-xmf", "-", "-C", "/tmp"),
    ],
)
async def test_every_spelling_of_kubectl_cp_extracts(container: Container, options: tuple[str, ...]) -> None:
    ran = await run(container, "tar", *options, stdin=PLAIN)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert (await sh(container, "cat /tmp/a/b.txt")).out == "hello"
    times = (container.root / "tmp/a/b.txt").stat().st_mtime
    assert (times > 1) == ("m" in "".join(options[-4]))


async def test_a_tree_goes_out_and_comes_back_the_same(container: Container) -> None:
    await sh(container, "mkdir -p /tmp/t/deep; seq 100000 > /tmp/t/deep/numbers; touch /tmp/t/empty")
    ran = await sh(container, "tar cf - /tmp/t | tar tf -")
    assert sorted(ran.out.split()) == ["tmp/t", "tmp/t/deep", "tmp/t/deep/numbers", "tmp/t/empty"]
    ran = await sh(
        container,
        "mkdir /tmp/u; tar cf - -C /tmp t | tar xf - -C /tmp/u; cat /tmp/t/deep/numbers | sha256sum;"
        "cat /tmp/u/t/deep/numbers | sha256sum; tar cf /tmp/x.tar /tmp/t; tar xvf /tmp/x.tar tmp/t/empty",
    )
    first, second, member = ran.out.splitlines()
    assert first == second
    assert member == "tmp/t/empty"


HOSTILE: list[tuple[str, bytes | None, dict[str, object]]] = [
    ("../out", b"x", {}),
    ("a/../../../out", b"x", {}),
    ("link", None, {"type": tarfile.SYMTYPE, "linkname": "/etc"}),
    ("link", None, {"type": tarfile.SYMTYPE, "linkname": "../../.."}),
    ("link", None, {"type": tarfile.SYMTYPE, "linkname": "b"}),
    ("hard", None, {"type": tarfile.LNKTYPE, "linkname": "../../etc/hostname"}),
    ("pipe", None, {"type": tarfile.FIFOTYPE}),
    ("device", None, {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}),
]


@pytest.mark.parametrize("entry", HOSTILE)
async def test_what_leads_out_is_left_out_and_the_rest_arrives(
    container: Container, entry: tuple[str, bytes | None, dict[str, object]]
) -> None:
    before = sorted(path for path in container.root.parent.rglob("*") if container.root / "tmp" not in path.parents)
    ran = await run(container, "tar", "xf", "-", "-C", "/tmp", stdin=archive(entry, ("fine", b"y", {})))
    assert ran.code == 2
    assert entry[0] in ran.err
    assert str(container.root) not in ran.err
    after = sorted(path for path in container.root.parent.rglob("*") if container.root / "tmp" not in path.parents)
    assert after == before
    assert [path.name for path in (container.root / "tmp").rglob("*") if not path.is_dir()] == ["fine"]


async def test_an_absolute_name_lands_below_the_target(container: Container) -> None:
    ran = await run(container, "tar", "xf", "-", "-C", "/tmp", stdin=archive(("/etc/passwd", b"x", {"mode": 0o4777})))
    assert ran.code == 0
    landed = container.root / "tmp/etc/passwd"
    assert landed.read_bytes() == b"x"
    assert not landed.stat().st_mode & 0o7022
    assert hosts_passwords() != b"x"


@pytest.mark.parametrize("stdin", [b"", b"not an archive" * 100, PLAIN[:700]])
async def test_a_broken_archive_is_an_error(container: Container, stdin: bytes) -> None:
    ran = await run(container, "tar", "xf", "-", "-C", "/tmp", stdin=stdin)
    assert ran.code == 2
    assert "tar:" in ran.err


async def test_a_missing_member_or_target_is_an_error(container: Container) -> None:
    assert (await sh(container, "tar cf - /nope > /dev/null")).code == 2
    assert (await run(container, "tar", "xf", "-", "-C", "/nope", stdin=PLAIN)).code == 2


async def test_a_reader_that_leaves_ends_the_archive(container: Container) -> None:
    ran = await sh(container, "head -c 3000000 /dev/zero > /tmp/big; tar cf - /tmp/big | head -c 10 | wc -c")
    assert (ran.code, ran.out) == (0, "10\n")
