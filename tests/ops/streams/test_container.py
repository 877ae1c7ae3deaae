"""A container's file system: nothing leads out of it, and nothing of the host shows in it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.demo.toy.streams import Containers
from ops.demo.toy.streams.container import Container
from tests.ops.streams.rig_local import POD, hosts_passwords, run, sh

CLIMBS = ["../../../etc/passwd", "/../../etc/passwd", "tmp/../../../../etc/passwd", "/proc/../../../etc/passwd"]


@pytest.mark.parametrize("path", CLIMBS)
async def test_dots_end_at_the_root_of_the_container(container: Container, path: str) -> None:
    ran = await run(container, "cat", path)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"cat: {path}: No such file or directory\n"
    assert (await sh(container, f"echo mine > {path}; cat /etc/passwd")).out == "mine\n"
    assert hosts_passwords() != b"mine\n"


segments = st.lists(st.sampled_from(["..", ".", "", "a", "etc", "tmp", "~", "...", "\\..", "%2e%2e", " "]), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(path=segments.map("/".join), directory=segments.map(lambda some: "/" + "/".join(some)))
def test_every_path_is_located_inside(container: Container, path: str, directory: str) -> None:
    located = container.locate(path, directory)
    assert located == container.root or container.root in located.parents


def test_a_nul_in_a_path_is_refused(container: Container) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        container.locate("a\0b", "/")


async def test_a_link_that_got_in_is_not_followed(container: Container, tmp_path: Path) -> None:
    """Nothing here makes links; should one appear all the same, it leads nowhere."""
    (tmp_path / "secret").write_text("of the host")
    (container.root / "tmp/out").symlink_to(tmp_path)
    for command in (("cat", "/tmp/out/secret"), ("ls", "/tmp/out"), ("tar", "cf", "-", "/tmp/out/secret")):
        ran = await run(container, *command)
        assert ran.code != 0
        assert "of the host" not in ran.out
    ran = await sh(container, "echo overwritten > /tmp/out/secret; rm -rf /tmp/out/secret; mkdir /tmp/out/new")
    assert (tmp_path / "secret").read_text() == "of the host"
    assert not (tmp_path / "new").exists()


async def test_no_error_names_a_path_of_the_host(container: Container) -> None:
    host = str(container.root.parent)
    for script in (
        "cat /tmp",
        "echo x > /tmp",
        "mkdir /tmp",
        "rm /tmp",
        "ls /nope",
        "tar cf - /nope",
        "sh /nope",
        "cd /no",
    ):
        ran = await sh(container, script)
        assert ran.code != 0, script
        assert host not in ran.err
        assert ran.err


async def test_the_programs_are_what_ls_shows_and_nothing_else_runs(container: Container) -> None:
    shown = (await run(container, "ls", "/bin")).out.split()
    assert set(shown) == set(container.programs)
    await sh(container, "echo 'echo hello' > /bin/mine; echo 'echo hello' > /tmp/sh")
    for word in ("/bin/mine", "/tmp/sh", "/usr/sbin/sh", "python3", "../bin/sh"):
        assert (await run(container, word)).code == 127
    assert (await run(container, "/bin/echo", "yes")).out == "yes\n"


def test_a_new_pod_of_the_same_name_starts_empty_and_the_old_files_go(containers: Containers) -> None:
    first = containers.enter(POD, "main")
    (first.root / "tmp/kept").write_text("x")
    assert (containers.enter(POD, "main").root / "tmp/kept").exists()
    second = containers.enter(POD | {"metadata": POD["metadata"] | {"uid": "u2"}}, "main")
    assert not (second.root / "tmp/kept").exists()
    assert not first.root.exists()


def test_closing_removes_everything() -> None:
    containers = Containers()
    root = containers.enter(POD, "main").root
    assert root.is_relative_to(Path(tempfile.gettempdir()).resolve())
    containers.close()
    assert not root.parent.exists()


async def test_the_environment_of_the_pod_and_its_working_directory(containers: Containers) -> None:
    pod = POD | {
        "spec": {"containers": [{"name": "main", "workingDir": "/srv/app", "env": [{"name": "A", "value": "1"}]}]}
    }
    container = containers.enter(pod, "main")
    assert container.working_directory == "/srv/app"
    assert (container.root / "srv/app").is_dir()
    assert "A=1\n" in (await run(container, "env")).out
