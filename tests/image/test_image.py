"""What the image holds, as the manifests run it: an appliance, two agents of one cluster, and kubectl through them."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml

from ops.demo import kubeconfig, registration
from ops.demo.admin import Appliance
from tests.deploy.manifests import DEPLOY, Manifest, charted, kustomized, pod
from tests.image.pod import Pod
from tests.journeys.network import Network, network
from tests.journeys.processes import eventually
from tests.journeys.stack import Part
from tests.rules.sources import ROOT
from tests.support.meter import Meter
from tests.support.missing import cannot, need

TREE = ROOT / "build" / "image"
START_SECONDS = 60.0
AGENTS = ("one", "two")
ADMIN = ("--as", "owner", "--as-group", "toy:admins")

pytestmark = [pytest.mark.image, pytest.mark.journey]


@dataclass
class Scene:
    """An installation: what was applied where, and what runs."""

    place: Path
    hosts: Network
    toy: Part
    appliance: Pod
    agents: dict[str, Pod] = field(default_factory=dict)

    def kubectl(self, *words: str, through: bool = True, given: str = "") -> str:
        """kubectl as a user, through Fairlead; or as the cluster's administrator, at its API server."""
        file = self.place / ("user.kubeconfig" if through else "admin.kubeconfig")
        said = subprocess.run(
            ["kubectl", "--kubeconfig", file, *([] if through else ADMIN), *words],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert said.returncode == 0, said.stderr + "".join([*self.appliance.said[-5:], *self._agents_said()])
        return said.stdout

    def _agents_said(self) -> list[str]:
        return [line for it in self.agents.values() for line in it.said[-5:]]

    def end(self) -> None:
        for it in (self.appliance, *self.agents.values()):
            it.kill()

    def start_agent(self, name: str, bundle: bytes | None) -> Pod:
        """A new pod of the agent's Deployment; nothing of an older one is left."""
        objects = kustomized(DEPLOY / "agent" / "example")
        if bundle is not None:
            data = {"bundle.json": base64.b64encode(bundle).decode()}
            objects.append({"kind": "Secret", "metadata": {"name": "fairlead-agent-bundle"}, "data": data})
        disk = self.place / f"agent-{name}"
        shutil.rmtree(disk, ignore_errors=True)
        given = {
            "ca.crt": (self.place / "toy" / "ca.pem").read_bytes(),
            "token": (self.place / "toy" / "token").read_bytes(),
        }
        host, port = self.hosts.address("cluster"), "6443"
        variables = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        inside = self.hosts.inside(name)
        made = Pod(TREE, pod(objects, "Deployment"), objects, disk, inside, variables, given)
        made.start()
        self.agents[name] = made
        return made

    def probe(self, name: str, spec: Manifest, which: str) -> int:
        """What the kubelet gets from a probe."""
        (container,) = spec["containers"]
        asked = container[which]["httpGet"]
        port = next(it["containerPort"] for it in container["ports"] if it["name"] == asked["port"])
        return ask(self.hosts.address(name), port, asked["path"])[0]


def ask(host: str, port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    need("kubectl", "ip", "unshare", "setpriv")
    if not (TREE / "bin" / "fairlead").exists():
        cannot(f"{TREE} is not built (make image)")
    place = tmp_path_factory.mktemp("scene")
    place.chmod(0o755)
    with ExitStack() as ending:
        hosts = ending.enter_context(network("cluster", "appliance", *AGENTS))
        made = Scene(place, hosts, started_toy(place, hosts, ending), appliance_pod(place, hosts))
        ending.callback(made.end)
        install(made)
        yield made


def started_toy(place: Path, hosts: Network, ending: ExitStack) -> Part:
    """The cluster that is reached, and its administrator's kubeconfig."""
    (place / "toy").mkdir()
    listen = f"{hosts.address('cluster')}:6443"
    toy = Part("toy-cluster", "--listen", listen, "--dir", str(place / "toy"), inside=hosts.inside("cluster"))
    ending.callback(toy.kill)
    eventually((place / "toy" / "url").exists, START_SECONDS, "the toy cluster's start")
    token = (place / "toy" / "token").read_text()
    ca = base64.b64encode((place / "toy" / "ca.pem").read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": f"https://{listen}", "certificate-authority-data": ca}}],
        "users": [{"name": "it", "user": {"token": token}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }
    (place / "admin.kubeconfig").write_text(json.dumps(config))
    return toy


def appliance_pod(place: Path, hosts: Network) -> Pod:
    objects = kustomized(DEPLOY / "appliance" / "example")
    for it in objects:
        if it["kind"] == "ConfigMap":
            text = it["data"]["fairlead.toml"].replace(
                "fairlead.example.com:5443", f"{hosts.address('appliance')}:5443"
            )
            it["data"]["fairlead.toml"] = text.replace("fairlead.example.com", f"{hosts.address('appliance')}:8443")
    return Pod(TREE, pod(objects, "StatefulSet"), objects, place / "appliance", hosts.inside("appliance"))


def install(scene: Scene) -> None:
    """As the runbook has it: the appliance, a token, the cluster, its agents."""
    config = scene.appliance.spec["containers"][0]["args"][1:]
    made = scene.appliance.run("fairlead", "machine-token", "--name", "setup", *config)
    assert made.returncode == 0, made.stderr
    scene.appliance.start()
    ready = lambda: scene.probe("appliance", scene.appliance.spec, "readinessProbe") == 200
    try:
        eventually(ready, START_SECONDS, "the appliance being ready")
    except AssertionError as failed:
        raise AssertionError(f"{failed}\n{''.join(scene.appliance.said[-20:])}") from None
    ca = scene.appliance.run("cat", "/var/lib/fairlead/data/ca.pem").stdout
    api = Appliance(f"https://{scene.hosts.address('appliance')}:8443", ca, made.stdout.strip())

    async def register() -> tuple[registration.Registered, dict[str, Any]]:
        registered = await registration.register(api, "prod", "toy:admins")
        return registered, await registration.credential(api, registered)

    registered, issued = trio.run(register)
    content = kubeconfig.render(
        server=str(issued["server"]), token=str(issued["token"]), cluster="prod", person=registration.PERSON, ca_pem=ca
    )
    (scene.place / "user.kubeconfig").write_bytes(content)
    manifests = kustomized(DEPLOY / "agent" / "example")
    wanted = [it for it in manifests if it["kind"] in {"Namespace", "Secret"}]
    scene.kubectl("apply", "-f", "-", through=False, given=yaml.safe_dump_all(wanted))
    for name in AGENTS:
        scene.start_agent(name, json.dumps(registered.bundle).encode())
    until_ready(scene)


def until_ready(scene: Scene) -> None:
    for name, agent in scene.agents.items():
        is_ready = lambda name=name, agent=agent: scene.probe(name, agent.spec, "readinessProbe") == 200
        try:
            eventually(is_ready, START_SECONDS, f"agent {name} being ready")
        except AssertionError as failed:
            raise AssertionError(f"{failed}\n{''.join(agent.said[-20:])}") from None


def test_kubectl_goes_through(scene: Scene) -> None:
    assert "default" in scene.kubectl("get", "namespaces", "-o", "name")
    scene.kubectl("create", "configmap", "note", "--from-literal=a=b")
    assert scene.kubectl("get", "configmap", "note", "-o", "jsonpath={.data.a}") == "b"


def test_it_runs_as_the_manifest_says(scene: Scene) -> None:
    for it in (scene.appliance, *scene.agents.values()):
        status = it.status()
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"65532"}
        assert (int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"]) == (0, 0, "1")
        for place in ("/x", "/opt/fairlead/lib/x", "/etc/fairlead/settings/x"):
            assert "Read-only file system" in it.run("touch", place).stderr
        assert it.run("healthy").returncode == 0
        assert it.run("healthy", "1").returncode == 1


def test_both_answer_probes_and_scrapers_from_outside(scene: Scene) -> None:
    for name, it in {"appliance": scene.appliance, **scene.agents}.items():
        assert [scene.probe(name, it.spec, which) for which in ("startupProbe", "livenessProbe")] == [200, 200]
        port = next(port["containerPort"] for port in it.spec["containers"][0]["ports"] if port["name"] == "health")
        page = Meter(scene.hosts.address(name), port).read()
        assert page["fairlead_tunnel_sessions" if name == "appliance" else "fairlead_agent_tunnel_sessions"] >= 1


def test_agents_come_back_without_their_bundle(scene: Scene) -> None:
    """Their pods are new and the bundle is gone: the Secret that they share is enough."""
    secret = json.loads(
        scene.kubectl("-n", "fairlead-agent", "get", "secret", "fairlead-agent-identity", "-o", "json", through=False)
    )
    assert len(secret["data"]) > 1
    for name in AGENTS:
        assert scene.agents[name].stop() == 0, scene.agents[name].said
        scene.start_agent(name, None)
    until_ready(scene)

    assert scene.kubectl("get", "namespaces", "-o", "name")


def test_the_appliance_comes_back_with_its_volume(scene: Scene) -> None:
    """Meanwhile its keys are rotated by the Job of the runbook: what was signed before stays good once."""
    assert scene.appliance.stop() == 0, scene.appliance.said
    job = yaml.safe_load((DEPLOY / "appliance" / "kustomize" / "rotate-keys.yaml").read_text())
    rotating = Pod(TREE, job["spec"]["template"]["spec"], [], scene.place / "appliance", scene.appliance.inside)
    rotating.start()
    assert rotating.wait() == 0, rotating.said
    scene.appliance.start()
    eventually(lambda: scene.probe("appliance", scene.appliance.spec, "readinessProbe") == 200, START_SECONDS)
    until_ready(scene)

    assert scene.kubectl("get", "configmap", "note", "-o", "name") == "configmap/note\n"
    data = scene.place / "appliance" / "data" / "data"
    assert (data.stat().st_mode & 0o777, data.stat().st_uid) == (0o700, 65532)


def test_no_tool_that_builds_is_in_it() -> None:
    found = {it.name.lower().partition("-")[0] for it in (TREE / "lib").iterdir()}
    assert not found & {"pip", "setuptools", "mypy", "pytest", "hypothesis", "wheel", "tests", "benchmarks"}
    assert sorted(it.name for it in (TREE / "bin").iterdir()) == ["fairlead", "healthy"]


def test_it_holds_what_its_own_commands_name(tmp_path: Path) -> None:
    """Registering a cluster prints where this installation has its manifests; an installed one has them, too."""
    carried = TREE / "lib" / "ops" / "deploy"
    for folder in ("agent/kustomize", "agent/example", "appliance/example", "appliance/postgres"):
        assert kustomized(carried / folder) == kustomized(DEPLOY / folder)
    names = {"impersonate": {"users": ["oidc:ann@example.com"]}}
    assert charted(carried / "agent" / "chart", names, release="fairlead-agent")


def test_the_containerfile_builds_what_was_started_here() -> None:
    """Its steps are the script's; what is only in it is checked by reading."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Containerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    last = lines[max(at for at, line in enumerate(lines) if line.startswith("FROM")) :]
    words = dict(line.split(" ", 1) for line in last)

    assert "RUN ops/deploy/image/build /opt/fairlead" in lines
    assert words["COPY"] == "--from=builder /opt/fairlead /opt/fairlead"
    assert (words["USER"], json.loads(words["ENTRYPOINT"])) == ("65532:65532", ["/opt/fairlead/bin/fairlead"])
    assert words["HEALTHCHECK"].endswith('CMD ["/opt/fairlead/bin/healthy"]')
    assert not any(re.search(r"\b(gcc|pip|venv|-dev)\b", line) for line in last)
    assert not os.path.lexists(ROOT / "Dockerfile")
