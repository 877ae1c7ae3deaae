"""The runbook for installing is typed as it stands, line by line, into a cluster that takes everything and keeps notes.

What needs an engine, a running appliance or a person is left out here: `fairlead` commands are held against the command
itself (tests/ops/test_runbooks.py), and what runs is started in tests/image.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.config import load
from appliance.store.server import read
from tests.deploy.manifests import DEPLOY, Manifest, by_name, charted, kustomized
from tests.deploy.recorder import Recorder, recorder
from tests.rules.sources import ROOT
from tests.support.missing import need

RUNBOOKS = ROOT / "ops" / "runbooks"
LINE = re.compile(r"^ {4}(?! )(.+)$", re.MULTILINE)
TYPED = ("cp", "sed", "mkdir", "chmod", "chown", "shred", "openssl", "printf", "kubectl apply", "kubectl create")
MAKES = re.compile(r"kubectl (-n \S+ )?create ")
OTHERWISE = ("fairlead", "podman", "kubectl -n", "kubectl get pods")
SECONDS = 60


def lines(name: str) -> list[str]:
    return LINE.findall((RUNBOOKS / name).read_text())


def typed(line: str, place: Path, cluster: Recorder) -> None:
    """By a shell, in a place of its own. The recorder has no document to validate with; the schemas do that."""
    need(shlex.split(line)[0])
    said = subprocess.run(
        ["sh", "-c", line.replace("kubectl apply", "kubectl apply --validate=false")],
        cwd=place,
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert said.returncode == 0, f"{line}\n{said.stderr}"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Manifest], list[list[Manifest]]]:
    """The place it was typed in, what kubectl made, and what each Helm line made."""
    place = tmp_path_factory.mktemp("typed")
    (place / "ops").symlink_to(ROOT / "ops")
    for folder in ROOT.iterdir():  # the commands are typed at the top of the repository, beside all that is there
        if folder.is_dir() and folder.name != "ops":
            (place / folder.name).mkdir()
    helmed = []
    with recorder(tmp_path_factory.mktemp("cluster")) as cluster:
        for line in lines("install.md"):
            if line.startswith("helm "):
                helmed.append(charted(place / shlex.split(line)[3], helm_values(line), release=shlex.split(line)[2]))
            elif line.startswith(TYPED) or MAKES.match(line):
                typed(line, place, cluster)
            else:
                assert line.startswith(OTHERWISE), f"nobody tries `{line}`"
    return place, cluster.made, helmed


def helm_values(line: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for given in re.findall(r"--set (\S+?)=(\S+)", line):
        *path, last = given[0].split(".")
        inner = found
        for step in path:
            inner = inner.setdefault(step, {})
        inner[last] = given[1]
    return found


def test_what_was_typed_is_there(installed: tuple[Path, list[Manifest], list[list[Manifest]]]) -> None:
    _, made, helmed = installed
    names = by_name(made)

    assert ("Secret", "fairlead-store") in names
    (settings, *_) = [it["data"]["fairlead.toml"] for it in made if it["kind"] == "ConfigMap"]
    assert settings.count("access.example.org") == 2
    assert len([it for it in made if it["kind"] == "StatefulSet"]) == 2
    texts = [yaml.safe_dump_all(it) for it in helmed]
    assert [("https://fairlead.example.com" in it, "fairlead-store" in it) for it in texts] == [
        (True, False),
        (True, True),
    ]
    agent = by_name(kustomized(DEPLOY / "agent" / "kustomize"))
    for line in lines("install.md"):  # whatever a line waits for or shows exists
        for kind, name in re.findall(r"(statefulset|deployment)/(\S+)", line):
            assert any(key[0].lower() == kind and key[1] == name for key in {**names, **agent}), line


def test_an_upgrade_leaves_the_names_and_the_guard_of_an_installation_alone() -> None:
    """What comes with the source holds an example's names and no guard: it may be copied, and is not applied."""
    applied = [line for line in lines("upgrade.md") if re.match(r"kubectl (-n \S+ )?apply", line)]
    assert applied
    assert [line for line in applied if "ops/deploy/" in line] == []


def test_compose_runs_the_appliance_with_what_the_runbook_made(
    installed: tuple[Path, list[Manifest], list[list[Manifest]]], tmp_path: Path
) -> None:
    """The settings and the secrets are taken; files of their modes, the database behind its socket."""
    place = installed[0] / "fairlead"
    compose = yaml.safe_load((place / "compose.yaml").read_text())
    appliance, postgres = compose["services"]["appliance"], compose["services"]["postgres"]

    settings = load(place / "fairlead.toml", beside(appliance["environment"], compose["secrets"], place, tmp_path))

    assert settings.store.url_file is not None
    server = read(settings.store.url_file)
    assert server.password == (place / "secrets" / "database-password").read_text().strip()
    shared = {it["source"]: it["target"] for it in appliance["volumes"]}
    assert server.hosts[0][0].startswith(shared["database-socket"])
    assert shared["database-socket"] in {it["target"] for it in postgres["volumes"]}
    assert (postgres["network_mode"], postgres.get("ports")) == ("none", None)
    assert (appliance["read_only"], appliance["cap_drop"], appliance["user"]) == (True, ["ALL"], "65532:65532")
    assert not any("PASSWORD" in key and not key.endswith("_FILE") for key in postgres["environment"])


def beside(
    environment: Mapping[str, str], secrets: Mapping[str, Mapping[str, str]], place: Path, data: Path
) -> dict[str, str]:
    """The container's environment, with its files where they are here."""
    given = dict(environment)
    for name, secret in secrets.items():
        given = {
            key: value.replace(f"/run/secrets/{name}", str(place / secret["file"])) for key, value in given.items()
        }
    return {**given, "FAIRLEAD_DATA_DIR": str(data / "data")}


@pytest.mark.parametrize("page", [*sorted(RUNBOOKS.glob("*.md")), DEPLOY / "README.md"], ids=lambda it: it.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    links = [page.parent / it for it in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)]
    paths = [ROOT / it for it in re.findall(r"\bops/(?:deploy|runbooks)/[\w./-]+\b", text)]
    missing = [str(it) for it in (*links, *paths) if not it.exists()]
    assert missing == []
