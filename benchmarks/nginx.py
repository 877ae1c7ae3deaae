"""nginx twice: as the upstream that stands for a cluster's API server, and as the plain TLS reverse proxy to beat.

Each is a process of its own with a generated configuration, certificate and directory, on a free loopback port. The
proxy does what a careful operator would configure: TLS on both legs, the upstream's certificate verified, connections
kept, nothing spooled to disk. Access logs are off.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.processes import Part, running, until
from tests.support.certificates import TestCA

SMALL_PATH = "/api/v1/namespaces/default/configmaps/small"
BIG_PATH = "/api/v1/namespaces/default/pods/big/log"
BIG_BYTES = 64 * 2**20
SIZED_PATH = "/api/v1/namespaces/default/configmaps/size-{}"
SIZES = (512, 2048, 16 * 1024, 128 * 1024, 1024 * 1024)
UPLOAD_PATH = "/api/v1/namespaces/default/configmaps/upload"
"""A PUT of up to BIG_BYTES is read whole, thrown away, and answered."""

_CONFIG = """
daemon off;
worker_processes {workers};
pid {home}/nginx.pid;
error_log {home}/error.log warn;
{user}
events {{ worker_connections 16384; multi_accept on; }}
http {{
    access_log off;
    default_type application/json;
    sendfile on;
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 100000000;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    ssl_certificate {home}/server.crt;
    ssl_certificate_key {home}/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    {body}
}}
"""

_UPSTREAM = """
    open_file_cache max=16;
    server {{
        listen 127.0.0.1:{port} ssl;
        root {home}/www;
        location / {{ try_files /small.json =404; }}
        location = {big} {{ default_type text/plain; try_files /big.txt =404; }}
        location ~ configmaps/(size-[0-9]+)$ {{ try_files /$1.json =404; }}
        location = {upload} {{
            client_max_body_size 0;
            client_body_buffer_size {big_bytes};
            proxy_pass http://unix:{home}/done.sock:/;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }}
    }}
    server {{
        listen unix:{home}/done.sock;
        location / {{ return 200 "{{}}"; }}
    }}
"""

_PROXY = """
    map $http_upgrade $hop {{ default upgrade; "" ""; }}
    upstream api {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        location / {{
            proxy_pass https://api;
            proxy_http_version 1.1;
            proxy_set_header Connection $hop;
            proxy_set_header Upgrade $http_upgrade;
            client_max_body_size 0;
            proxy_request_buffering off;
            proxy_buffering {buffering};
            proxy_read_timeout 600s;
            proxy_set_header Host localhost;
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate {home}/ca.pem;
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
            proxy_max_temp_file_size 0;
        }}
    }}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """One running nginx."""

    part: Part
    port: int
    ca_pem: str

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


class Listening(Protocol):
    """What a proxy can stand before: its certificate says localhost and is signed by the same CA."""

    @property
    def port(self) -> int: ...


class ToolMissingError(Exception):
    """nginx or wrk is not installed; nothing can be compared."""


def tool(name: str) -> str:
    """The path of nginx or wrk; Debian keeps nginx where only root's PATH looks."""
    found = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ToolMissingError(f"{name} is not installed (Debian: apt-get install nginx-light wrk)")
    return found


@asynccontextmanager
async def upstream(root: Path, ca: TestCA, inside: Sequence[str] = ()) -> AsyncIterator[Nginx]:
    """Serve 2 KiB of JSON on every path, and 64 MiB of text on BIG_PATH.

    `inside`: words before the command, such as `ip netns exec NAME`.
    """
    home = _home(root / "upstream", ca)
    (home / "www").mkdir()
    (home / "www" / "small.json").write_bytes(small_json())
    for size in SIZES:
        (home / "www" / f"size-{size}.json").write_bytes(b'"' + b"x" * (size - 3) + b'"\n')
    (home / "www" / "big.txt").write_bytes(os.urandom(2**20) * (BIG_BYTES // 2**20))
    port = free_port()
    body = _UPSTREAM.format(port=port, home=home, big=BIG_PATH, upload=UPLOAD_PATH, big_bytes=BIG_BYTES + 1)
    async with _nginx("upstream", home, port, 1, body, ca, inside) as it:
        yield it


@asynccontextmanager
async def proxy(
    root: Path, ca: TestCA, target: Listening, workers: int = 1, *, buffering: bool = True
) -> AsyncIterator[Nginx]:
    """Proxy to `target`. Without `buffering`, as an operator must set it for watches."""
    name = "nginx" if workers == 1 else f"nginx×{workers}"
    home = _home(root / f"proxy-{workers}", ca)
    port = free_port()
    switch = "on" if buffering else "off"
    body = _PROXY.format(port=port, home=home, upstream=target.port, buffering=switch)
    async with _nginx(name, home, port, workers, body, ca) as it:
        yield it


@asynccontextmanager
async def _nginx(
    name: str, home: Path, port: int, workers: int, body: str, ca: TestCA, inside: Sequence[str] = ()
) -> AsyncIterator[Nginx]:
    user = "user root;" if os.geteuid() == 0 else ""  # workers must read the run's private directory
    config = home / "nginx.conf"
    config.write_text(_CONFIG.format(workers=workers, home=home, user=user, body=body))
    log = home / "output.log"
    command = [*inside, sys.executable, "-m", "benchmarks.leash", tool("nginx")]
    command += ["-p", str(home), "-c", str(config), "-e", str(home / "error.log")]
    async with running(name, command, log) as part:
        await until(name, (home / "nginx.pid").exists, part, home / "error.log")  # written once the ports are bound
        yield Nginx(part, port, ca.pem)


def _home(home: Path, ca: TestCA) -> Path:
    home.mkdir(mode=0o700)
    ca.issue(home, "server")
    (home / "ca.pem").write_text(ca.pem)
    return home


def small_json() -> bytes:
    """A config map of exactly 2 KiB."""
    start = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"small","namespace":"default"},"data":{"text":"'
    end = b'"}}\n'
    return start + b"x" * (2048 - len(start) - len(end)) + end


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
