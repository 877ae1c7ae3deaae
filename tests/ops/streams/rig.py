"""The smallest API server that lets every kubectl reach exec, attach and port-forward: discovery, two pods, the seam.

It speaks TLS, because that is what kubectl and the real toy API speak. It decides nothing and checks nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ops.demo.toy.streams import Containers, serve_upgrade
from ops.demo.toy.upgrade_seam import UpgradeRequest

PODS = {
    name: {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}"},
        "spec": {"containers": [{"name": "main", "image": "toy", "env": [{"name": "COLOUR", "value": "blue"}]}]},
        "status": {"phase": phase},
    }
    for name, phase in (("web", "Running"), ("other", "Running"), ("late", "Pending"))
}
POD_RESOURCE = {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"]}
ANSWERS = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [POD_RESOURCE]},
    **{f"/api/v1/namespaces/default/pods/{name}": pod for name, pod in PODS.items()},
}


def kubectls() -> dict[str, str]:
    """Every kubectl beside the one on PATH, by minor version. None at all is a failure, not a reason to skip."""
    found = shutil.which("kubectl")
    assert found, "these tests need kubectl on PATH"
    here = Path(found).resolve().parent
    versions = {path.name.removeprefix("kubectl."): str(path) for path in sorted(here.glob("kubectl.1.*"))}
    return versions or {"any": found}


@dataclass
class Toy:
    """A running server and how to call it."""

    kubeconfig: Path
    containers: Containers
    home: Path

    def argv(self, version: str, *arguments: str) -> list[str]:
        return [kubectls()[version], f"--kubeconfig={self.kubeconfig}", *arguments]

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "TERM": "xterm"}

    async def kubectl(self, version: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        with trio.fail_after(60):
            return await trio.run_process(
                self.argv(version, *arguments),
                stdin=stdin,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                env=self.environment(),
            )


@asynccontextmanager
async def toy(directory: Path) -> AsyncIterator[Toy]:
    certificate = make_certificate(directory)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    containers = Containers()
    try:
        async with trio.open_nursery() as nursery:

            async def handle(socket: trio.SocketStream) -> None:
                await serve_connection(trio.SSLStream(socket, context, server_side=True), containers)

            (listener,) = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
            port = listener.socket.getsockname()[1]
            kubeconfig = directory / "kubeconfig"
            kubeconfig.write_text(json.dumps(kubeconfig_for(port)))
            yield Toy(kubeconfig, containers, directory)
            nursery.cancel_scope.cancel()
    finally:
        containers.close()


def kubeconfig_for(port: int) -> dict[str, object]:
    cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "toy",
        "clusters": [{"name": "toy", "cluster": cluster}],
        "contexts": [{"name": "toy", "context": {"cluster": "toy", "user": "toy"}}],
        "users": [{"name": "toy", "user": {"token": "t"}}],
    }


def make_certificate(directory: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "toy")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    path = directory / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(pem))
    return path


async def serve_connection(stream: trio.SSLStream[trio.SocketStream], containers: Containers) -> None:
    try:
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                data = bytes(await stream.receive_some(65536))
                if not data:
                    return
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            request = understand(head, buffer)
            if request.subresource:
                await serve_upgrade(request, stream, containers)
                return
            answer = ANSWERS.get(urlsplit(request.target.decode()).path)
            body = json.dumps(answer or {"kind": "Status", "status": "Failure", "code": 404}).encode()
            status = "200 OK" if answer else "404 Not Found"
            await stream.send_all(
                f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await trio.aclose_forcefully(stream)


def understand(head: bytes, rest: bytes) -> UpgradeRequest:
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.split(b" ")
    headers = tuple((name, value.strip()) for name, _, value in (line.partition(b":") for line in lines))
    url = urlsplit(target.decode())
    steps = url.path.split("/")
    upgraded = len(steps) == 8 and steps[7] in {"exec", "attach", "portforward"}
    return UpgradeRequest(
        method=method.decode(),
        target=target,
        headers=headers,
        query=parse_qs(url.query, keep_blank_values=True),
        namespace="default",
        name=steps[6] if upgraded else "",
        subresource=steps[7] if upgraded else "",
        pod=PODS[steps[6]] if upgraded else {},
        already_read=rest,
    )
