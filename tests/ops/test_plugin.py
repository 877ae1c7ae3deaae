"""Credential plugins: run as kubectl runs them, their tokens kept in a file, their failures told."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest
import trio

from ops.demo import plugin as plugins
from ops.demo.kubeconfig import KubeconfigError, Plugin
from ops.demo.plugin import PluginToken, ask, keep_fresh, parse

V1 = "client.authentication.k8s.io/v1"


def plugin(script: str) -> Plugin:
    return Plugin(sys.executable, ("-c", script), (("WHO", "demo"),), V1, {"server": "https://a"}, "Install it.")


def says(status: object, version: str = V1) -> bytes:
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status}).encode()


def test_a_token_with_its_expiry() -> None:
    found = parse(plugin(""), says({"token": "t", "expirationTimestamp": "2030-01-01T00:00:00Z"}))

    assert found == PluginToken("t", 1893456000.0)
    assert found.renewal_delay(1893456000.0 - 600) == 540.0
    assert found.renewal_delay(1893456000.0) == plugins.RENEW_AT_LEAST_SECONDS
    assert PluginToken("t", None).renewal_delay(0) == plugins.RENEW_UNDATED_SECONDS


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (b"", "printed no ExecCredential"),
        (b"[]", "printed no ExecCredential"),
        (says({"token": "t"}, "client.authentication.k8s.io/v1beta1"), "answered client.authentication.k8s.io/v1beta1"),
        (says({"clientCertificateData": "c"}), "a certificate instead of a token"),
        (says(None), "a certificate instead of a token"),
        (says({"token": "t", "expirationTimestamp": "soon"}), "no readable expiry"),
    ],
)
def test_other_answers_are_refused(output: bytes, expected: str) -> None:
    with pytest.raises(KubeconfigError, match=expected):
        parse(plugin(""), output)


@pytest.mark.real_clock
async def test_it_is_told_what_kubectl_would_tell_it() -> None:
    script = (
        "import json, os; info = json.loads(os.environ['KUBERNETES_EXEC_INFO']); "
        "token = os.environ['WHO'] + info['spec']['cluster']['server'] + str(info['spec']['interactive']); "
        "print(json.dumps({'apiVersion': info['apiVersion'], 'status': {'token': token}}))"
    )

    assert (await ask(plugin(script))).token == "demohttps://aFalse"


@pytest.mark.real_clock
async def test_its_failures_are_sentences() -> None:
    with pytest.raises(KubeconfigError, match=r"failed: please log in$"):
        await ask(plugin("import sys; sys.exit('please log in')"))
    with pytest.raises(KubeconfigError, match=r"is not installed\. Install it\."):
        await ask(Plugin("/nonexistent/login", (), (), V1, None, "Install it."))


@pytest.mark.real_clock
async def test_the_token_is_in_a_private_file_before_anyone_needs_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    script = f"print({says({'token': 'fresh'}).decode()!r})"
    async with trio.open_nursery() as nursery:
        await nursery.start(keep_fresh, plugin(script), path)

        assert path.read_text() == "fresh"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        nursery.cancel_scope.cancel()
