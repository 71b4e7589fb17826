"""The gateways that are compared, each as a command, started on one core."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
_NGINX = """
daemon off;
master_process off;
user root;
pid {work}/nginx.pid;
error_log {work}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log {work}/nginx-access.log;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    keepalive_requests 1000000000;
    upstream pods {{
        server 127.0.0.1:{upstream};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://pods;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"""
_CHECKING = (
    "security",
    "oauth2",
    "nimbus",
    "redis",
    "lettuce",
    "actuator",
    "micrometer-registry",
    "prometheus",
)
_ROUTES = (
    "routes: [{id: items, path: /api/items/**, service: item-service}]\n"
    "limits: {per_user: {per_second: 1000000, burst: 1000000}, lease_tokens: 1000, max_connections: 20000}\n"
)


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a peer finds everything."""

    work: Path
    port: int
    upstream: int
    redis: int
    collector: int
    issuer: dict[str, str]

    @property
    def url(self) -> str:
        """What is asked of the peer."""
        return f"http://127.0.0.1:{self.port}/api/items/42"

    @property
    def environment(self) -> dict[str, str]:
        """The process environment of a peer."""
        ours = {
            "PORT": str(self.port),
            "UPSTREAM_PORT": str(self.upstream),
            "HOST": "127.0.0.1",
            "OTLP_ENDPOINT": f"http://127.0.0.1:{self.collector}/v1/traces",
        }
        return {**os.environ, **self.issuer, **ours}


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway under measurement; `does` is what it does besides passing bytes on."""

    name: str
    does: str
    command: Callable[[Setting], list[str]]
    warm_up_seconds: int = 3
    environment: dict[str, str] = field(default_factory=dict)


def _mambogo(setting: Setting) -> list[str]:
    routes, instances = setting.work / "routes.yaml", setting.work / "instances"
    routes.write_text(_ROUTES)
    instances.write_text(f"item-service 127.0.0.1 {setting.upstream}\n")
    return [sys.executable, str(ROOT / "services/gateway/tests/gateway_process.py"), str(instances)]


def _fastapi(setting: Setting) -> list[str]:
    return [
        *(sys.executable, "-m", "uvicorn", "fastapi_httpx:app", "--app-dir", str(HERE)),
        *("--port", str(setting.port), "--log-level", "warning", "--no-access-log"),
    ]


def _nginx(setting: Setting) -> list[str]:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        raise SystemExit("nginx is missing: apt-get install nginx-light")
    configuration = setting.work / "nginx.conf"
    configuration.write_text(_NGINX.format(work=setting.work, port=setting.port, upstream=setting.upstream))
    return [binary, "-c", str(configuration), "-p", str(setting.work)]


def _spring_plain(setting: Setting) -> list[str]:
    """Routing and nothing else: the archives that bring checks by being there are left out."""
    return _java(setting, lambda archive: not any(word in archive.name for word in _CHECKING))


def _spring_checked(setting: Setting) -> list[str]:
    return _java(setting, lambda archive: True)


def _java(setting: Setting, wanted: Callable[[Path], bool]) -> list[str]:
    built = setting.work / "spring"
    if not built.exists():
        shutil.copytree(HERE / "spring", built)
        maven = shutil.which("mvn") or "mvn"
        goals = ["compile", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"]
        subprocess.run(
            [maven, "-q", "-f", str(built / "pom.xml"), *goals, "-DincludeScope=runtime"],
            check=True,
        )
    libraries = sorted(str(path) for path in (built / "target/dependency").glob("*.jar") if wanted(path))
    return ["java", "-cp", ":".join([str(built / "target/classes"), *libraries]), "app.App"]


PEERS = (
    Peer(
        "mambogo gateway", "token, user limit, deadline, breaker, metrics, JSON log, spans of 10 %", _mambogo
    ),
    Peer("FastAPI + httpx", "token", _fastapi),
    Peer("Spring Cloud Gateway", "nothing", _spring_plain, warm_up_seconds=60),
    Peer(
        "Spring Cloud Gateway, checking",
        "token, user limit, metrics",
        _spring_checked,
        warm_up_seconds=60,
        environment={"SPRING_PROFILES_ACTIVE": "checked"},
    ),
    Peer("nginx", "access log", _nginx),
)
