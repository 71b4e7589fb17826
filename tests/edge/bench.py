"""The edge's two containers, as the local overlay configures them, between a client and an upstream.

Those two are in this process; everything stays on one Docker network that only this machine reaches.
"""

from __future__ import annotations

import ssl
import threading
import uuid
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from rehearsal.cluster.engine import connect
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.deploy.credentials import Credentials, secret_manifests

from tests import servers

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from rehearsal.deploy.certificates import Certificate

CONFIGURATION = Path(__file__).parents[2] / "k8s" / "overlays" / "local" / "managed" / "edge"
IMAGE = "rehearsal/nginx:1.22"
PURGE_KEY = "Purge-Key_1"
_GATEWAY = "gateway-service.mambogo-production.svc.cluster.local"
_START_SECONDS = 60.0
_UID = 65532
LONG_BYTES = 60_000  # more than whoever passes it on waits for before it begins
_BETWEEN_HALVES_SECONDS = 0.3  # arbitrary; what looks for the first half is there in milliseconds


@dataclass(frozen=True, slots=True)
class Request:
    """What reached the upstream."""

    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case


@dataclass
class Upstream:
    """Stands where the gateway does; answers by path what it was told to."""

    host: str
    # A value of several lines is as many fields of that name.
    answers: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    # Paths whose answer is long, and whose second half comes later.
    halved: set[str] = field(default_factory=set)

    def answer(self, path: str, status: int = 200, **headers: str) -> None:
        """Answer a path so from now on; an underscore in a header's name stands for a hyphen."""
        self.answers[path] = status, {name.replace("_", "-"): value for name, value in headers.items()}

    def asked(self, path: str) -> list[Request]:
        """Return the requests for a path."""
        return [one for one in self.requests if one.path == path]

    @contextmanager
    def serving(self) -> Iterator[Upstream]:
        """Serve until the end of the block."""
        with servers.running(ThreadingHTTPServer((self.host, 8080), self._handler())):
            yield self

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.rfile.read(int(headers.get("content-length", 0)))
                upstream.requests.append(Request(self.command, self.path, headers))
                status, fields = upstream.answers.get(self.path, (200, {}))
                if status == 200 and headers.get("if-none-match") == fields.get("ETag", "-"):
                    status = 304
                # Says how often this path was asked for: a kept answer says an old number.
                body = b"" if status == 304 else str(len(upstream.asked(self.path))).encode()
                if self.path in upstream.halved:
                    body = body.ljust(LONG_BYTES)
                self.send_response(status)
                for name, values in fields.items():
                    for value in values.splitlines() or [""]:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    half = LONG_BYTES // 2
                    self.wfile.write(body[:half])
                    if body[half:]:
                        threading.Event().wait(_BETWEEN_HALVES_SECONDS)
                        self.wfile.write(body[half:])

            do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815 - as the base class calls them

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler


@dataclass(frozen=True, slots=True)
class Edge:
    """The running edge."""

    cdn: Container
    balancer: Container
    address: str  # of the CDN's container
    upstream: Upstream
    authority: Path
    client: httpx.Client

    def ask(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Ask the CDN; an underscore in a header's name stands for a hyphen."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.client.cookies.clear()  # else one answer's cookie would make somebody of all later ones
        return self.client.request(method, path, headers=named)

    def cache_of(self, path: str, **headers: str) -> str:
        """Ask, and return what the CDN says about its cache."""
        return str(self.ask(path, **headers).headers["X-Cache"])

    def await_cache(self, path: str, *states: str) -> httpx.Response:
        """Ask until the cache says one of these states."""

        def probe() -> httpx.Response:
            answer = self.ask(path)
            if answer.headers["X-Cache"] not in states:
                raise NotYet(answer.headers["X-Cache"])
            return answer

        return wait_until(f"{' or '.join(states)} of {path}", probe, timeout_seconds=30, hint="See cdn.conf.")

    def ask_by_tls(self, host: str, path: str) -> httpx.Response:
        """Ask over TLS as a client that trusts the local authority only."""
        context = ssl.create_default_context(cafile=str(self.authority))
        with httpx.Client(verify=context, trust_env=False) as client:
            return client.get(
                f"https://{self.address}:8443{path}",
                headers={"Host": host},
                extensions={"sni_hostname": host},
            )


@contextmanager
def running(folder: Path, certificate: Certificate, authority: Path) -> Iterator[Edge]:
    """Run the edge until the end of the block; `folder` is for what Secrets hold in the cluster."""
    client = connect()
    with ExitStack() as opened:
        opened.callback(client.close)
        network = client.networks.create(f"rehearsal-edge-{uuid.uuid4().hex[:8]}", driver="bridge")
        opened.callback(network.remove)
        network.reload()
        host = str(network.attrs["IPAM"]["Config"][0]["Gateway"])
        upstream = opened.enter_context(Upstream(host).serving())

        def run(name: str, hosts: dict[str, str], mounts: Mapping[Path, str]) -> Container:
            container = _run(client, str(network.name), name, hosts, mounts)
            opened.callback(container.remove, force=True)
            return container

        balancer = run("load-balancer", {_GATEWAY: host}, {})
        secrets = _secrets(folder, certificate)
        cdn = run("cdn", {"load-balancer": _address(balancer)}, secrets)
        address = _address(cdn)
        base = f"http://{address}:8080"
        asking = opened.enter_context(httpx.Client(base_url=base, trust_env=False, timeout=60))
        edge = Edge(cdn, balancer, address, upstream, authority, asking)
        wait_until(
            "the edge", lambda: _answers(edge), timeout_seconds=_START_SECONDS, hint="`docker logs` of it."
        )
        yield edge


def _answers(edge: Edge) -> bool:
    try:
        return edge.ask("/start").status_code == 200
    except httpx.TransportError as error:
        for container in (edge.cdn, edge.balancer):
            container.reload()
            assert container.status == "running", container.logs().decode()
        raise NotYet(str(error)) from error


def _secrets(folder: Path, certificate: Certificate) -> Mapping[Path, str]:
    """Write what the CDN's Secrets hold, as the cluster mounts it; return the mounts."""
    values = {**dict.fromkeys(Credentials.__slots__, "x"), "purge_key": PURGE_KEY}
    mounts: dict[Path, str] = {}
    manifests: list[dict[str, Any]] = secret_manifests(Credentials(**values), certificate)
    for name, place in (("edge-certificate", "certificate"), ("edge-purge-keys", "secrets")):
        target = folder / place
        target.mkdir(mode=0o755)
        data = next(one["data"] for one in manifests if one["metadata"]["name"] == name)
        for key, value in data.items():
            (target / key).write_bytes(b64decode(value))
            (target / key).chmod(0o644)
        mounts[target] = f"/etc/nginx/{place}"
    return mounts


def _run(
    client: DockerClient, network: str, name: str, hosts: dict[str, str], mounts: Mapping[Path, str]
) -> Container:
    places = {
        CONFIGURATION / f"{name}.conf": f"/etc/nginx/conf.d/{name}.conf",
        CONFIGURATION / "problems.inc": "/etc/nginx/problems.inc",
        **mounts,
    }
    return client.containers.run(
        IMAGE,
        detach=True,
        network=network,
        extra_hosts=hosts,
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        tmpfs={"/var/cache/nginx": f"uid={_UID},gid={_UID},mode=0700"},
        volumes=[f"{source}:{target}:ro" for source, target in places.items()],
    )


def _address(container: Container) -> str:
    container.reload()
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])
