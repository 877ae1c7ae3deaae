"""A new signing key, as an operator makes it: nobody has to get a new kubeconfig, until somebody wants that."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.journeys.stack import Stack, running_stack
from tests.journeys.visitors import Harbour


def rotate(stack: Stack) -> subprocess.CompletedProcess[str]:
    return stack.command("keys", "rotate")


def test_the_key_is_replaced_under_living_credentials(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack:
        harbour = Harbour(stack)
        old = harbour.visitor()
        refused = rotate(stack)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "stop it, rotate, and start it again" in refused.stderr

        assert stack.appliance.stop() == 0
        assert "will be signed with key" in rotate(stack).stdout
        stack.start_appliance()
        stack.until_it_works()  # with the kubeconfig of before
        assert old.ask().status == 200
        new = harbour.visitor()
        assert new.ask().status == 200
        assert {it["type"] for it in harbour.call("GET", "audit?limit=100")["items"]} >= {"CSY010I"}

        assert stack.appliance.stop() == 0
        for _ in range(2):
            assert rotate(stack).returncode == 0
        stack.start_appliance()
        for visitor in (old, new):
            answer = visitor.ask()
            assert (answer.status, answer.code) == (401, "INVALID_TOKEN")
            assert "signed with a key this appliance does not know" in answer.json()["message"]
