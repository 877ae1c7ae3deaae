"""What goes wrong for the command's user: one clear sentence, the right exit code, no secret and never a traceback.

That there is no traceback is looked at by every run of a `Laptop`.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.journeys.gatehouse import Gatehouse
from tests.journeys.laptop import Laptop, shown_url
from tests.support.certificates import TestCA

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]

#: An hour ahead or behind, for Python programs; kubectl and TLS keep the true time.
CLOCK = "import os, time\ntrue = time.time\ntime.time = lambda: true() + float(os.environ['CLOCK_OFF'])\n"
#: A keyring as a desktop has one: `keyring` finds it by its variable.
KEYRING = """
import json, os, keyring.backend
class Ring(keyring.backend.KeyringBackend):
    priority = 9
    def _all(self):
        if os.environ.get("RING_BROKEN"): raise RuntimeError("locked")
        return json.load(open(os.environ["RING"])) if os.path.exists(os.environ["RING"]) else {}
    def _put(self, kept): json.dump(kept, open(os.environ["RING"], "w"))
    def get_password(self, service, name): return self._all().get(service + name)
    def set_password(self, service, name, word): self._put({**self._all(), service + name: word})
    def delete_password(self, service, name): self._put({k: v for k, v in self._all().items() if k != service + name})
"""


@pytest.fixture(scope="module")
def laptop(house: Gatehouse, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    """Someone who is signed in; nothing here ends that."""
    house.bind_group("sailors")
    made = Laptop(house, tmp_path_factory.mktemp("faults") / "laptop")
    assert made.login(house.person("sailors")).code == 0
    return made


def test_wrong_input(laptop: Laptop, tmp_path: Path) -> None:
    """`$` the command, then the exit code and what the first line has to say."""
    noise = tmp_path / "noise"
    noise.write_text("{")
    (tmp_path / "binary").write_bytes(b"\x30\x82\xff\x00")
    (tmp_path / "empty").touch()
    for asked, code, sentence in (
        ("no-such-command", 2, "No such command"),
        ("kube login", 2, "Missing argument 'CLUSTER'"),
        ("kube login nowhere", 5, "You can reach no cluster nowhere"),
        ("kube login toy --static --ttl soon", 2, "is not a length of time"),
        ("kube login toy --ttl 1h", 2, "--ttl is of --static"),
        ("kube logout nowhere", 5, "Nothing here leads to nowhere"),
        ("kube token --cluster nowhere", 5, "There is no cluster nowhere"),
        ("kube token --nonsense", 2, "No such option"),
        ("login http://fairlead.example.com", 2, "is no appliance's URL"),
        ("login https://fairlead.example.com/path", 2, "is no appliance's URL"),
        (f"login {laptop.house.url} --ca {noise} --force", 1, "The CA is not a certificate"),
        (f"login {laptop.house.url} --ca {tmp_path}/none --force", 1, "No such file"),
        ("whoami --profile nobody", 5, "There is no profile nobody"),
        ("accounts use nobody", 5, "nobody is not signed in"),
        *(
            (f"profiles create n https://x.example.com --ca {tmp_path}/{it}", 1, "The CA is not a certificate")
            for it in ("noise", "binary", "empty")
        ),
        ("profiles create x/y https://x.example.com", 2, "is no name for a profile"),
        ("clusters register another", 4, ""),
    ):
        ran = laptop.run(*shlex.split(asked))
        assert (ran.code, ran.out) == (code, ""), (asked, ran)
        assert sentence in ran.err, (asked, ran)
    bad = laptop.run("kube", "ls", environment={"KUBECONFIG": str(noise)})
    assert (bad.code, "is not YAML" in bad.err) == (1, True)
    open_home = laptop.run("config", "show", environment={"FAIRLEAD_CLI_HOME": "/proc/nowhere"})
    assert open_home.code == 0, "reading makes nothing"
    unwritable = laptop.run(
        "profiles", "create", "x", "https://x.example.com", environment={"FAIRLEAD_CLI_HOME": "/proc/no"}
    )
    assert (unwritable.code, unwritable.err) == (1, "fairlead: /proc/no: No such file or directory.\n")


def test_a_refusal_says_its_code_and_id(laptop: Laptop) -> None:
    """So that somebody else can find it in the log."""
    refused = laptop.run("clusters", "register", "another")
    assert re.search(r"\n  FORBIDDEN, correlation id [0-9a-f]{32}\n", refused.err), refused


def test_an_appliance_that_is_not_reached(laptop: Laptop, tmp_path: Path) -> None:
    other = TestCA.make()
    (tmp_path / "other.pem").write_text(other.pem)
    url, port = laptop.house.url, laptop.house.stack.bound.users
    stranger = Laptop(laptop.house, tmp_path / "stranger")
    for asked, sentence in (
        (f"login {url}", "This machine does not trust what signed the certificate of"),
        (f"login {url} --ca {tmp_path}/other.pem", "This machine does not trust what signed the certificate of"),
        (
            f"login https://localhost:{port} --ca {laptop.ca}",
            f"The certificate of localhost:{port} is for another name",
        ),
        ("login https://127.0.0.1:1", "Nothing answers at 127.0.0.1:1"),
        ("login https://nowhere.invalid", "The name nowhere.invalid cannot be found"),
        (f"login {laptop.house.provider.issuer} --ca {laptop.home}/idp.pem", "is no Fairlead appliance"),
    ):
        (laptop.home / "idp.pem").write_text(laptop.house.provider.ca.pem)
        ran = stranger.run(*shlex.split(asked))
        assert (ran.code, ran.out) == (6, ""), (asked, ran)
        assert sentence in ran.err.splitlines()[0], (asked, ran)
        assert ran.err.splitlines()[-1].startswith("  Next: ") or "no Fairlead" in sentence, ran
    assert stranger.run("profiles", "create", "down", "https://127.0.0.1:1").code == 0
    looked = stranger.run("doctor", "-o", "json")
    states = {it["check"]: it["state"] for it in json.loads(looked.out)["items"]}
    assert looked.code == 1
    assert (states["name"], states["connection"], states["certificate"], states["tunnel"]) == (
        "ok",
        "failed",
        "skipped",
        "skipped",
    )


@pytest.mark.parametrize("off", [-3600, 3600])
def test_a_clock_that_is_off_by_an_hour(laptop: Laptop, tmp_path: Path, off: int) -> None:
    """Nothing rests on this machine's clock, and `doctor` says that it is wrong."""
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    laptop.extra = {"PYTHONPATH": str(tmp_path), "CLOCK_OFF": str(off)}
    try:
        assert laptop.run("kube", "login", "toy").code == 0
        assert laptop.run("whoami").code == 0
        assert laptop.run("kube", "token", "--cluster", "toy").code == 0
        clock = next(it for it in laptop.run("doctor", "-o", "json").json()["items"] if it["check"] == "clock")
        assert (clock["state"], "ahead of" in clock["found"]) == ("warning", off > 0), clock
    finally:
        laptop.extra = {}
    assert laptop.kubectl("get", "pods", "-n", "demo", "-o", "name").code == 0


def test_debug_shows_requests_and_no_secret(laptop: Laptop) -> None:
    session = next(it for it in (laptop.kept / "sessions").rglob("*.json"))
    kept = json.loads(session.read_text())
    session.write_text(json.dumps({**kept, "access_until": 0}))
    ran = laptop.run("--debug", "kube", "login", "toy")
    assert ran.code == 0
    assert re.search(r"^> POST https://\S+/fairlead/v1/oauth/token;", ran.err, re.MULTILINE)
    assert re.search(r"^< 201 in \d+ ms;.*X-Correlation-Id", ran.err, re.MULTILINE)
    secrets = {kept["access_token"], kept["refresh_token"], json.loads(session.read_text())["access_token"]}
    assert not [it for it in secrets if it in ran.err]
    assert not re.search(r"eyJ|fl[ar]_", ran.err)


def test_the_systems_keyring(house: Gatehouse, tmp_path: Path) -> None:
    """The refresh token is there and nowhere else, is renewed there, and goes with the session."""
    (tmp_path / "ring.py").write_text(KEYRING)
    ring = tmp_path / "ring.json"
    laptop = Laptop(house, tmp_path / "laptop")
    laptop.extra = {
        "FAIRLEAD_CLI_KEYRING": "",
        "PYTHON_KEYRING_BACKEND": "ring.Ring",
        "PYTHONPATH": str(tmp_path),
        "RING": str(ring),
    }
    subject = house.person("sailors")
    assert laptop.login(subject).code == 0
    (token,) = json.loads(ring.read_text()).values()
    assert token.startswith("flr_")
    files = [it for it in laptop.kept.rglob("*") if it.is_file()]
    assert not [it for it in files if token in it.read_text()]
    assert "keyring" in laptop.run("status", "-o", "json").json()["secrets_in"]
    session = next(it for it in (laptop.kept / "sessions").rglob("*.json"))
    session.write_text(json.dumps({**json.loads(session.read_text()), "access_until": 0}))
    assert laptop.run("whoami").code == 0
    (renewed,) = json.loads(ring.read_text()).values()
    assert renewed != token
    assert laptop.run("logout").code == 0
    assert json.loads(ring.read_text()) == {}
    laptop.extra["RING_BROKEN"] = "1"
    assert laptop.login(subject).code == 0
    assert laptop.run("status", "-o", "json").json()["secrets_in"].startswith(str(laptop.kept))


def test_shells_complete(laptop: Laptop) -> None:
    for shell in ("bash", "zsh", "fish"):
        script = laptop.run("completion", shell)
        assert (script.code, "_FAIRLEAD_COMPLETE" in script.out) == (0, True)
    words = (
        "source <(fairlead completion bash); COMP_WORDS=(fairlead kube lo); COMP_CWORD=2; "
        '_fairlead_completion fairlead; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", words], env=laptop.environment, capture_output=True, text=True, check=True, timeout=30
    )
    assert sorted(done.stdout.split()) == ["login", "logout"]


def test_a_static_token(laptop: Laptop, tmp_path: Path) -> None:
    """For programs that run no plugin; it is in the file, and revoked with its session."""
    file = tmp_path / "static"
    words = ("kube", "login", "toy", "--static", "--ttl", "10m", "--context", "ci")
    for mode in (0o604, 0o640):
        file.touch()
        file.chmod(mode)
        shared = laptop.run(*words, environment={"KUBECONFIG": str(file)})
        assert (shared.code, f"Next: chmod 600 {file}" in shared.err, file.read_text()) == (1, True, "")
    file.unlink()
    made = laptop.run(*words, environment={"KUBECONFIG": str(file)})
    assert made.code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert laptop.run(*words, environment={"KUBECONFIG": str(file)}).code == 0
    assert "exec" not in file.read_text()
    pods = ("--kubeconfig", str(file), "get", "pods", "-n", "demo", "-o", "name")
    assert laptop.kubectl(*pods).code == 0
    wide = subprocess.run(
        ["fairlead", "kube", "ls", "-o", "wide"],
        env={**laptop.environment, "KUBECONFIG": str(file)},
        capture_output=True,
        check=True,
    )
    assert b" ci " in wide.stdout
    token = yaml.safe_load(file.read_text())["users"][0]["user"]["token"]
    assert laptop.run("kube", "logout", "toy", environment={"KUBECONFIG": str(file)}).code == 0
    door = laptop.house.door({"server": f"{laptop.house.url}/api/proxy/toy", "token": token})
    assert door.ask("GET", "/version").code == "CREDENTIAL_REVOKED"


def test_only_one_namespace(house: Gatehouse, tmp_path: Path) -> None:
    """Then it is the context's: `kubectl get pods` works as it stands."""
    subject = house.person("crew-of-one-namespace")
    role = house.call("POST", "roles", {"name": "r-one-namespace", "groups": ["toy:admins"]})
    cluster = next(it["id"] for it in house.call("GET", "clusters")["items"] if it["name"] == "toy")
    who = {"kind": "group", "id": "crew-of-one-namespace", "issuer": house.provider.issuer}
    scope = {"kind": "namespaces", "cluster_id": cluster, "namespaces": ["demo"]}
    house.call("POST", "bindings", {"subject": who, "role_id": role["id"], "scope": scope})
    laptop = Laptop(house, tmp_path / "laptop")
    assert laptop.login(subject).code == 0
    assert laptop.run("kube", "ls", "-o", "json").json()["items"][0]["namespaces"] == ["demo"]
    assert laptop.run("kube", "login", "toy").code == 0
    pods = laptop.kubectl("get", "pods", "-o", "name")
    assert (pods.code, pods.out.startswith("pod/")) == (0, True), pods


def test_a_machine(house: Gatehouse, tmp_path: Path) -> None:
    """No session: a token in a file, and the plugin finds it whatever the environment of kubectl is."""
    made = house.call("POST", "machines", {"name": "builder"})
    role = house.call("POST", "roles", {"name": "r-builder", "groups": ["toy:admins"]})
    who = {"kind": "machine", "id": made["id"]}
    house.call("POST", "bindings", {"subject": who, "role_id": role["id"], "scope": {"kind": "everywhere"}})
    laptop = Laptop(house, tmp_path / "laptop")
    file = tmp_path / "token"
    file.write_text(made["token"])
    as_machine = {
        "FAIRLEAD_CLI_TOKEN_FILE": str(file),
        "FAIRLEAD_CLI_SERVER": house.url,
        "FAIRLEAD_CLI_CA": str(laptop.ca),
    }
    assert laptop.run("clusters", "list", environment=as_machine).code == 4
    assert laptop.run("kube", "login", "toy", environment=as_machine).code == 0
    who_am_i = ("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    assert laptop.kubectl(*who_am_i).out == "machine:builder"
    next((laptop.kept / "credentials").rglob("current.json")).unlink()
    assert laptop.kubectl(*who_am_i).out == "machine:builder"
    asked = ("kube", "token", "--cluster", "toy")
    assert laptop.run(*asked, environment=as_machine).json()["status"]["token"]
    other = tmp_path / "other"
    other.write_text("flm_of-nobody")
    stranger = laptop.run(*asked, environment={**as_machine, "FAIRLEAD_CLI_TOKEN_FILE": str(other)})
    assert (stranger.code, stranger.out) == (3, ""), "what is kept is the first machine's"
    file.write_text("flm_of-somebody-else")
    refused = laptop.run("clusters", "list", environment=as_machine)  # the token, not the right
    assert (refused.code, "INVALID_TOKEN" in refused.err) == (3, True)


def test_ctrl_c(laptop: Laptop) -> None:
    """While it waits for a browser."""
    process = laptop.start("login", laptop.house.url, "--no-browser", "--force")
    shown_url(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.splitlines()[-1]) == (130, "", "fairlead: Stopped.")


def test_signing_out_without_the_appliance(house: Gatehouse, tmp_path: Path) -> None:
    """All is removed here, and it is said that the session goes on there."""
    laptop = Laptop(house, tmp_path / "laptop")
    assert laptop.login(house.person("sailors")).code == 0
    assert laptop.run("kube", "login", "toy").code == 0
    config = laptop.kept / "config.json"
    config.write_text(config.read_text().replace(house.url, "https://127.0.0.1:1"))
    gone = laptop.run("logout")
    assert (gone.code, "could not be told: Nothing answers at 127.0.0.1:1." in gone.err) == (6, True), gone
    assert not list((laptop.kept / "sessions").rglob("*.json"))
    assert not list((laptop.kept / "credentials").rglob("*.json"))
    assert laptop.run("whoami").code == 3
