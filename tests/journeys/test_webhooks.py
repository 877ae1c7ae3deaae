"""Whoever is to be told of access requests is told, whatever happens to them and to us meanwhile."""

from __future__ import annotations

import importlib.util
import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.journeys.processes import eventually
from tests.journeys.stack import REPOSITORY, Stack, running_stack
from tests.support.certificates import TestCA
from tests.support.receiver import Got, Receiver, receiver

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]

SAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@dataclass
class Desk:
    """A running stack on which a machine asks for access, and receivers."""

    stack: Stack
    ca: TestCA
    directory: Path

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, token: str | None = None) -> Any:
        return trio.run(self.stack.api(token).call, method, path, body)

    def receiver(self) -> Receiver:
        return receiver(self.ca, self.directory, f"receiver-{secrets.token_hex(3)}")

    def hook(self, at: Receiver, **fields: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.call("POST", "webhooks", {"url": at.url, **fields})
        return made

    def ask(self) -> str:
        """A new request by a new machine: its id."""
        name = f"asker-{secrets.token_hex(3)}"
        machine = self.call("POST", "machines", {"name": name, "ttl_seconds": 3600})
        nothing = [{"verbs": ["none"], "apiGroups": [""], "resources": ["none"]}]
        asking = self.call("POST", "roles", {"name": name, "permissions": ["access:request"], "rules": nothing})
        subject, scope = {"kind": "machine", "id": machine["id"]}, {"kind": "everywhere"}
        self.call("POST", "bindings", {"subject": subject, "role_id": asking["id"], "scope": scope})
        role = self.call("POST", "roles", {"name": f"{name}-wanted", "groups": ["viewers"]})
        policy = self.call("POST", "request-policies", {"role_id": role["id"], "scope": scope, "askers": [subject]})
        wish = {"policy_id": policy["id"], "reason": "incident 7", "reviewers": ["ben@example.com"]}
        return str(self.call("POST", "access-requests", wish, machine["token"])["id"])

    def message(self, hook: dict[str, Any]) -> dict[str, Any]:
        """The only one it was owed."""
        (found,) = self.call("GET", f"webhooks/{hook['id']}/messages")["items"]
        assert isinstance(found, dict)
        return found


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    directory, ca = tmp_path_factory.mktemp("desk"), TestCA.make()
    authorities = directory / "ca.pem"
    authorities.write_text(ca.pem)
    dialling = f'[dialling]\nallow = ["127.0.0.1/32"]\nca = {json.dumps(str(authorities))}\n'
    with running_stack(directory, settings=dialling) as stack:
        yield Desk(stack, ca, directory)


@pytest.fixture
def undone(desk: Desk) -> Iterator[ExitStack]:
    """Ends receivers, and removes every webhook, so that each test stands for itself."""
    with ExitStack() as stack:
        yield stack
    for it in desk.call("GET", "webhooks")["items"]:
        desk.call("DELETE", f"webhooks/{it['id']}")


def documented(directory: Path) -> Callable[[dict[str, str], bytes, str], None]:
    """The verification that the documentation gives to receivers."""
    (text,) = SAMPLE.findall((REPOSITORY / "docs" / "webhooks.md").read_text())
    file = directory / "documented.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("documented", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    verify: Callable[[dict[str, str], bytes, str], None] = module.verify
    return verify


def about(got: Got) -> tuple[str, str]:
    told = json.loads(got.body)
    return told["type"], told["data"].get("id", "")


def test_what_is_told_can_be_verified_as_documented(desk: Desk, undone: ExitStack) -> None:
    at, verify = desk.receiver(), documented(desk.directory)
    undone.enter_context(at.listening())
    hook = desk.hook(at)
    listed = json.dumps(desk.call("GET", "webhooks"))
    assert ("secret" in listed, at.url in listed, "/hook" in listed + json.dumps(hook)) == (False, False, False)
    kept = b"".join(it.read_bytes() for it in desk.stack.home.appliance.glob("*.db*"))
    assert (hook["id"].encode() in kept, at.url.encode() in kept) == (True, False)
    tried = desk.call("POST", f"webhooks/{hook['id']}/test")
    assert (tried["delivered"], tried["status"]) == (True, 204)
    request_id = desk.ask()
    desk.call("POST", f"access-requests/{request_id}/deny", {"reason": "not now"})
    first, second, third = at.until(3)
    assert [about(it)[0] for it in (first, second, third)] == [
        "webhook.test",
        "access_request.created",
        "access_request.denied",
    ]
    assert about(second)[1] == about(third)[1] == request_id
    assert len({it.headers["webhook-id"] for it in (first, second, third)}) == 3
    assert json.loads(second.body)["data"]["reviewers"] == ["ben@example.com"]
    for it in (first, second, third):
        verify(it.headers, it.body, hook["secret"])
        for headers, body in (
            (it.headers, it.body + b" "),
            ({**it.headers, "webhook-id": "msg_0"}, it.body),
            ({**it.headers, "webhook-timestamp": str(int(it.headers["webhook-timestamp"]) + 1)}, it.body),
            ({**it.headers, "webhook-timestamp": "1"}, it.body),
        ):
            with pytest.raises(ValueError, match=r"not signed|too old"):
                verify(headers, body, hook["secret"])
    assert hook["secret"] not in "".join(desk.stack.appliance.said)
    states = {it["state"] for it in desk.call("GET", f"webhooks/{hook['id']}/messages")["items"]}
    assert states == {"delivered"}


def test_killed_before_it_was_told(desk: Desk, undone: ExitStack) -> None:
    """A receiver that is down, then one that has the message but has not answered: both get it after kill -9."""
    down, stuck = desk.receiver(), desk.receiver()
    stuck.held = True
    undone.enter_context(stuck.listening())
    first, second = desk.hook(down), desk.hook(stuck)
    request_id = desk.ask()
    stuck.until(1)
    eventually(lambda: desk.message(first)["error"], what="the try that found nobody")
    desk.stack.appliance.kill()
    stuck.release()
    undone.enter_context(down.listening())
    desk.stack.start_appliance()
    assert about(down.until(1)[0]) == ("access_request.created", request_id)
    once, again = stuck.until(2)
    assert (once.headers["webhook-id"], once.body) == (again.headers["webhook-id"], again.body)
    documented(desk.directory)(again.headers, again.body, second["secret"])
    for hook in (first, second):
        eventually(lambda hook=hook: desk.message(hook)["state"] == "delivered", what="its end")  # type: ignore[misc]


def test_a_slow_one_holds_up_nobody_else(desk: Desk, undone: ExitStack) -> None:
    slow, quick = desk.receiver(), desk.receiver()
    slow.held = True
    for at in (slow, quick):
        undone.enter_context(at.listening())
    hooks = [desk.hook(at) for at in (slow, quick)]
    first, second = desk.ask(), desk.ask()
    assert [about(it)[1] for it in quick.until(2)] == [first, second]
    assert len(slow.got) == 1
    slow.release()
    assert [about(it)[1] for it in slow.until(2)] == [first, second]
    assert len({it["secret"] for it in hooks}) == 2


def test_no_redirect_is_followed_and_giving_up_is_on_record(desk: Desk, undone: ExitStack) -> None:
    at = desk.receiver()
    undone.enter_context(at.listening())
    at.status = 307
    hook = desk.hook(at, events=["access_request.created"])
    desk.ask()
    eventually(lambda: "redirects are not followed" in desk.message(hook)["error"], what="the first try")
    at.status = 410
    eventually(lambda: desk.message(hook)["state"] == "given_up", 30.0, "its end")
    assert {it.path for it in at.got} == {"/hook"}
    (record,) = eventually(lambda: desk.call("GET", "audit?type=CWH004W")["items"], what="its record")
    assert (record["details"]["webhook_id"], record["details"]["why"]) == (hook["id"], "It answered 410.")
    # What nobody allowed is not dialled, however it is named.
    away = desk.call("POST", "webhooks", {"url": "https://192.168.77.1/x"})
    tried = desk.call("POST", f"webhooks/{away['id']}/test")
    assert (tried["delivered"], tried["status"], "dialling.allow" in tried["error"]) == (False, None, True)
    own = desk.call("POST", "webhooks", {"url": f"https://127.0.0.1:{desk.stack.bound.users}/x"})
    assert "this appliance itself" in desk.call("POST", f"webhooks/{own['id']}/test")["error"]
