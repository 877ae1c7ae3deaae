"""Files of other tools survive our coming and going: byte for byte, with mode, links and locks, in kubectl's order."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ops.cli import kubeconfig
from ops.cli.faults import Fault
from ops.cli.kube_entries import Entry
from ops.cli.yaml_text import NotYAMLError, edited, word

GIVEN = Path(__file__).parent / "kubeconfigs"
SERVER = "https://fairlead.example.com"
ENTRY = Entry(
    context="fairlead-prod",
    cluster="prod",
    appliance=SERVER,
    server=f"{SERVER}/api/proxy/prod",
    ca="-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
    namespace="on",
    profile="fairlead.example.com",
)
Place = Callable[..., list[Path]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Puts files where KUBECONFIG names them."""

    def put(*names: str) -> list[Path]:
        paths = [tmp_path / name for name in names]
        for name, path in zip(names, paths, strict=True):
            if (GIVEN / name).exists():
                path.write_bytes((GIVEN / name).read_bytes())
                path.chmod(0o640)
        monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, paths)))
        return paths

    return put


def kubectl(*arguments: str) -> str:
    done = subprocess.run(["kubectl", "config", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["kind.yaml", "k3s.yaml", "eks.yaml", "gke.yaml"])
def test_nothing_changes_but_our_entries(place: Place, name: str) -> None:
    (file,) = place(name)
    before = file.read_text()
    current = yaml.safe_load(before)["current-context"]
    assert kubeconfig.put(ENTRY, switch=True) == file
    with_ours = file.read_text()
    lost = [line for line in before.splitlines() if line not in with_ours.splitlines()]
    assert lost == [f"current-context: {current}"]
    assert kubectl("current-context").strip() == "fairlead-prod"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert "insecure-skip-tls-verify" not in with_ours
    kubeconfig.put(replace(ENTRY, namespace="other"), switch=True)  # again: in place
    assert len(yaml.safe_load(file.read_text())["users"]) == len(yaml.safe_load(before)["users"]) + 1
    assert kubeconfig.remove(SERVER) == ["fairlead-prod"]
    assert file.read_text() == before
    assert not list(file.parent.glob("*.lock"))


def test_what_kubectl_reads_is_what_was_meant(place: Place) -> None:
    """Into a file that does not exist yet: private, and with words that YAML 1.1 would read as something else."""
    (file,) = place("new")
    kubeconfig.put(ENTRY, switch=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    read = json.loads(kubectl("view", "--raw", "-o", "json"))
    (context,) = (it["context"] for it in read["contexts"])
    (user,) = (it["user"]["exec"] for it in read["users"])
    assert context["namespace"] == "on"
    assert user["args"] == ["kube", "token", "--profile", "fairlead.example.com", "--cluster", "prod"]
    assert (user["interactiveMode"], user["provideClusterInfo"]) == ("IfAvailable", False)
    assert read["clusters"][0]["cluster"]["server"] == f"{SERVER}/api/proxy/prod"
    kubectl("rename-context", "fairlead-prod", "mine")
    assert [it.context for it in kubeconfig.marked()] == ["mine"], (
        "kubectl keeps our mark, whatever the context is called"
    )
    assert kubeconfig.remove(SERVER, "prod") == ["mine"]
    left = json.loads(kubectl("view", "--raw", "-o", "json"))
    assert (left["contexts"], left["clusters"], left["users"]) == (None, None, None)


def test_several_files(place: Place) -> None:
    """A new entry goes into the first that exists; what was current comes back, wherever it was said."""
    missing, eks, gke = place("missing", "eks.yaml", "gke.yaml")
    before = eks.read_text(), gke.read_text()
    assert kubeconfig.put(ENTRY, switch=True) == eks
    assert kubectl("current-context").strip() == "fairlead-prod"
    assert gke.read_text() == before[1]
    assert kubeconfig.remove(SERVER) == ["fairlead-prod"]
    assert (eks.read_text(), gke.read_text(), missing.exists()) == (*before, False)


def test_a_link_stays_one_and_json_stays_readable(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = place("json.yaml")
    link = tmp_path / "link"
    link.symlink_to(file)
    monkeypatch.setenv("KUBECONFIG", str(link))
    kubeconfig.put(ENTRY, switch=False)
    assert link.is_symlink()
    assert kubectl("current-context").strip() == "x"
    kubeconfig.remove(SERVER)
    assert yaml.safe_load(file.read_text()) == json.loads((GIVEN / "json.yaml").read_text())


def test_another_tools_entry_is_never_written_over(place: Place) -> None:
    (file,) = place("kind.yaml")
    before = file.read_text()
    with pytest.raises(Fault, match="has another context called kind-dev"):
        kubeconfig.put(replace(ENTRY, context="kind-dev"), switch=True)
    kubeconfig.put(ENTRY, switch=True)
    with pytest.raises(Fault, match="has another context"):
        kubeconfig.put(replace(ENTRY, appliance="https://other.example.com"), switch=True)
    assert kubeconfig.remove("https://other.example.com") == []
    kubeconfig.remove(SERVER)
    assert file.read_text() == before


def test_kubectls_lock_is_honoured(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = place("kind.yaml")
    before = file.read_text()
    lock = file.with_name("kind.yaml.lock")
    lock.touch()
    monkeypatch.setattr(kubeconfig, "LOCK_SECONDS", 0.1)
    with pytest.raises(Fault, match="Another program holds"):
        kubeconfig.put(ENTRY, switch=True)
    assert file.read_text() == before
    assert lock.exists()


@pytest.mark.parametrize("text", ["a: b: c", "- a list", "x: [", "\t", "a: 1\na: 2"])
def test_what_is_no_kubeconfig_is_a_phrase(text: str) -> None:
    with pytest.raises(NotYAMLError):
        edited(text, lambda document: document.update(x="y"))


@pytest.mark.parametrize(
    "text", ["on", "1e3", "0x1f", "12:30", "2030-01-31", "null", "", "@x", "*x", "%x", "a: b", "a #b", "x"]
)
def test_a_word_is_the_same_to_every_reader(text: str) -> None:
    assert yaml.safe_load(edited("", lambda document: document.update(x=word(text))))["x"] == text


def test_windows_line_ends_stay() -> None:
    made = edited("a: b\r\nc: d\r\n", lambda document: document.update(e="f"))
    assert made == "a: b\r\nc: d\r\ne: f\r\n"
