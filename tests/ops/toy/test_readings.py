"""The table of requests, held against an API server's own words.

Somebody without rights sends every request of it. The 403 names verb, group, resource, namespace and name as the API
server understood them, before it looked whether anything of that name exists. The API server is the toy's, and with
FAIRLEAD_TEST_KUBECONFIG set that cluster's as well; there the user of the kubeconfig needs the right to impersonate.
Nothing can happen to either: a user for whom the cluster would do more than its default roles give is refused first,
and what would change something says dryRun besides.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ops.demo import kubeconfig
from tests.ops.toy.conftest import ToyCluster
from tests.support.asks import Row, reading, rows

NOBODY = "nobody@fairlead.example.com"
ANSWER_SECONDS = 30.0
REAL = os.environ.get("FAIRLEAD_TEST_KUBECONFIG")


class ApiServer:
    """An API server, asked as somebody without rights."""

    def __init__(self, server: str, context: ssl.SSLContext, token: str | None) -> None:
        self.at = urlsplit(server)
        self.context = context
        self.headers = {"Impersonate-User": NOBODY, "Accept": "application/json"}
        if token is not None:
            self.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        assert self.at.hostname is not None
        connection = http.client.HTTPSConnection(
            self.at.hostname, self.at.port, timeout=ANSWER_SECONDS, context=self.context
        )
        try:
            kind = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, target, body, {**self.headers, **kind})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def may_do_more_than_look(self) -> bool:
        """Whether this nobody has rights after all."""
        for verb, resource in (("*", "*"), ("delete", "pods"), ("create", "pods"), ("patch", "nodes")):
            attributes = {"verb": verb, "resource": resource, "group": "*" if resource == "*" else ""}
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            }
            path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            status, answer = self.ask("POST", path, json.dumps(review).encode())
            if status != 201 or json.loads(answer)["status"]["allowed"]:
                return True
        return False


def of_kubeconfig(path: Path, directory: Path) -> ApiServer:
    upstream = kubeconfig.read(path)
    if upstream.server_name is not None:
        pytest.fail("this test takes a kubeconfig without tls-server-name")
    context = ssl.create_default_context(cadata=upstream.ca.decode())
    credential = upstream.credential
    if isinstance(credential, kubeconfig.Token):
        return ApiServer(upstream.server, context, credential.token)
    if isinstance(credential, kubeconfig.TokenFile):
        return ApiServer(upstream.server, context, credential.path.read_text().strip())
    if isinstance(credential, kubeconfig.ClientCertificate):
        pair = directory / "pair.pem"
        pair.touch(0o600)
        try:
            pair.write_bytes(credential.certificate + b"\n" + credential.key)
            context.load_cert_chain(pair)
        finally:
            pair.unlink()
        return ApiServer(upstream.server, context, None)
    pytest.fail("this test takes a kubeconfig with a token, a token file or a client certificate")


@pytest.fixture(scope="module", params=["toy", *(["real"] if REAL else [])])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    if request.param == "toy":
        toy: ToyCluster = request.getfixturevalue("toy")
        yield ApiServer(toy.url, toy.tls(), toy.token)
        return
    assert REAL is not None
    found = of_kubeconfig(Path(REAL), tmp_path_factory.mktemp("real"))
    if found.may_do_more_than_look():
        pytest.fail(f"{NOBODY} has rights in this cluster (or cannot be impersonated): nothing was tried")
    yield found


def dry(row: Row) -> str:
    if row.method in {"GET", "HEAD", "OPTIONS"} or "dryRun" in row.target:
        return row.target
    return row.target + ("&" if "?" in row.target else "?") + "dryRun=All"


@pytest.mark.parametrize("row", rows(), ids=str)
def test_the_api_server_reads_it_so(row: Row, server: ApiServer) -> None:
    status, body = server.ask(row.method, dry(row), b"{}" if row.everyone and row.method == "POST" else None)
    if row.everyone:
        assert status != 403
        return
    assert status == 403
    if row.method != "HEAD":
        assert reading(json.loads(body)["message"]) == row.own


def test_somebody_with_rights_is_noticed(toy: ToyCluster) -> None:
    nobody = ApiServer(toy.url, toy.tls(), toy.token)
    assert not nobody.may_do_more_than_look()
    nobody.headers["Impersonate-Group"] = "toy:admins"
    assert nobody.may_do_more_than_look()
    impostor = ApiServer(toy.url, toy.tls(), "another token")
    assert impostor.may_do_more_than_look()  # who cannot ask knows nothing
