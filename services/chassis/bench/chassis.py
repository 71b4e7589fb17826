"""CPU per request of the chassis over bare Starlette, cost of a token check, and what an idle service takes.

    python bench/chassis.py            # all, about five minutes
    python bench/chassis.py request    # one part: request, token, idle, everything

`everything` is a service with database, relay, consumer and registry; it starts those in containers.

CPU time, not wall time: it is what the HPA sees, and it hardly depends on what else the machine does. Each
figure is the best of several rounds, because noise only ever adds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).parents[1]
# The issuer and the process helper are the tests' own.
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "examples")]

from mambogo_testkit.dependencies.eureka import EurekaServer  # noqa: E402
from mambogo_testkit.dependencies.kafka import KafkaBroker  # noqa: E402
from mambogo_testkit.dependencies.postgres import PostgresServer  # noqa: E402
from mambogo_testkit.engine import connect  # noqa: E402
from mambogo_testkit.fleet import Fleet  # noqa: E402
from mambogo_testkit.ports import free_port  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.responses import JSONResponse, Response  # noqa: E402
from starlette.routing import Route  # noqa: E402

import bookings  # noqa: E402
from mambogo_chassis.auth import KeyCache, TokenPolicy, TokenVerifier  # noqa: E402
from mambogo_chassis.http.access_log import LineWriter  # noqa: E402
from mambogo_chassis.service import Service  # noqa: E402
from mambogo_chassis.settings import LiveSettings, LoadReport, ServiceSettings  # noqa: E402
from support.issuer import AUDIENCE, CLIENT, REALM, issuer  # noqa: E402
from support.processes import EXAMPLES  # noqa: E402

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
ROUNDS = 7
REQUESTS = 3000
# Of a process; the first one also compiles what was not compiled yet.
STARTS = 3
IDLE_SECONDS = 20
# Joining a consumer group and registering are part of the start, not of being idle.
SETTLE_SECONDS = 10
HEADERS = [
    (b"host", b"x"),
    (b"user-agent", b"bench"),
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    (b"x-request-id", b"bench-12345678"),
]


def main() -> None:
    """Print the table of the parts that are named, or of all."""
    parts = {"request": request_rows, "token": token_rows, "idle": idle_rows, "everything": everything_rows}
    print("| measure | value | budget |")
    print("|---|---|---|")
    for name in sys.argv[1:] or parts:
        for row in parts[name]():
            print("| " + " | ".join(row) + " |", flush=True)


def request_rows() -> list[tuple[str, str, str]]:
    """Microseconds of CPU per request, in process: what a server adds is the same for all."""

    async def health(request: Any) -> Response:
        return JSONResponse({"status": "UP"})

    starlette = Starlette(routes=[Route("/actuator/health", health)])
    from fastapi import APIRouter

    from mambogo_chassis.auth import PUBLIC

    router = APIRouter()

    @router.get("/hello", openapi_extra=PUBLIC)
    async def hello() -> dict[str, str]:
        return {"status": "UP"}

    settings = ServiceSettings(application_name="bench")
    with Path(os.devnull).open("wb") as sink:
        service = Service(LiveSettings(settings, LoadReport("none")), writer=LineWriter(sink))
        app = service.app(title="Bench", routers=[router])
        bare = cpu_per_request(starlette, "/actuator/health")
        fast = cpu_per_request(app, "/actuator/health")
        live = cpu_per_request(app, "/actuator/health/liveness")
        plain = cpu_per_request(bare_fastapi(), "/hello")
        full = cpu_per_request(app, "/hello")
    return [
        ("bare Starlette, one route", f"{bare:.0f} us", ""),
        ("`/actuator/health` over bare Starlette", f"{fast - bare:+.0f} us", "<= 100 us"),
        ("`/actuator/health/liveness` over bare Starlette", f"{live - bare:+.0f} us", "<= 100 us"),
        ("bare FastAPI, one route", f"{plain:.0f} us", ""),
        (
            "an operation with context, deadline, metrics and log, over bare FastAPI",
            f"{full - plain:+.0f} us",
            "",
        ),
    ]


def bare_fastapi() -> App:
    """What an operation costs without the chassis."""
    from fastapi import FastAPI

    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})

    @app.get("/hello")
    async def hello() -> dict[str, str]:
        return {"status": "UP"}

    return app


def cpu_per_request(app: Any, path: str) -> float:
    """Microseconds, the best round."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] in (200, 503)

    async def round_() -> float:
        before = time.process_time()
        for _ in range(REQUESTS):
            scope = {
                "type": "http",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "method": "GET",
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                "root_path": "",
                "scheme": "http",
                "headers": list(HEADERS),
                "client": ("127.0.0.1", 1),
                "server": ("127.0.0.1", 2),
                "state": {},
            }
            await app(scope, receive, send)
        return (time.process_time() - before) / REQUESTS * 1e6

    import uvloop

    return min(uvloop.run(round_()) for _ in range(ROUNDS))


def token_rows() -> list[tuple[str, str, str]]:
    """Microseconds of CPU per check of a 1.2 KB token."""

    async def measure(jwks_url: str, tokens: list[str]) -> tuple[float, float]:
        policy = TokenPolicy(REALM, AUDIENCE, frozenset({CLIENT}))
        verifier = TokenVerifier(policy, KeyCache(jwks_url))
        await verifier.verify(tokens[0])
        before = time.process_time()
        for token in tokens[1:]:
            await verifier.verify(token)
        first = (time.process_time() - before) / (len(tokens) - 1)
        copies = [
            token.encode().decode() for token in tokens
        ] * 100  # new strings, as each request brings one
        before = time.process_time()
        for token in copies:
            await verifier.verify(token)
        return first, (time.process_time() - before) / len(copies)

    with issuer() as tokens_of:
        tokens = [tokens_of.token(sub=f"user-{number}", padding="x" * 400) for number in range(100)]
        rounds = [asyncio.run(measure(tokens_of.jwks_url, tokens)) for _ in range(ROUNDS)]
    first, cached = (min(values) * 1e6 for values in zip(*rounds, strict=True))
    return [
        ("token seen for the first time (RS256)", f"{first:.0f} us", ""),
        ("token check, cached", f"{cached:.1f} us", "<= 15 us"),
    ]


def idle_rows() -> list[tuple[str, str, str]]:
    """The sample service without a database: CPU until ready, memory and CPU when idle."""
    registry = {name: value for name, value in os.environ.items() if name == "EUREKA_URLS"}
    return process_rows("reminders.py", registry, "")


def everything_rows() -> list[tuple[str, str, str]]:
    """The sample service with all parts: heartbeat, relay and consumer run, probes and scrapes come."""
    fleet, client = Fleet(), connect()
    try:
        fleet.want(["postgres", "kafka", "eureka"])
        postgres = PostgresServer(fleet.get("postgres"), client, shared=True)
        kafka = KafkaBroker(fleet.get("kafka"), client, shared=True)
        eureka = EurekaServer(fleet.get("eureka"), client, shared=True)
        with postgres.database() as database, kafka.topics() as topics:
            bookings.migrate(database.dsn)
            for topic in ("bookings", "seats", "seats.dlt"):
                topics.create(topic)
            parts = {
                "DB_HOST": database.host,
                "DB_PORT": str(database.port),
                "DB_NAME": database.name,
                "DB_USER": database.user,
                "DB_PASSWORD": database.password,
                "KAFKA_BOOTSTRAP_SERVERS": topics.bootstrap_servers,
                "KAFKA_PREFIX": topics.prefix,
                "EUREKA_URLS": eureka.url,
            }
            return process_rows("bookings.py", parts, ", everything on")
    finally:
        fleet.close()
        client.close()


def process_rows(script: str, parts: dict[str, str], what: str) -> list[tuple[str, str, str]]:
    """What one process of a sample service costs."""
    with issuer() as tokens, tempfile.TemporaryDirectory() as directory:
        environment = {
            "PATH": os.environ["PATH"],
            "HOST": "127.0.0.1",
            "DRAIN_SECONDS": "0",
            "ISSUER_URL": REALM,
            "JWKS_URL": tokens.jwks_url,
            "AUDIENCE": AUDIENCE,
            "AUTHORIZED_PARTIES": CLIENT,
            **parts,
        }
        with (Path(directory) / "log").open("wb") as log:
            costs = [process_cost(script, environment, log) for _ in range(STARTS)]
    ready, idle, resident = (min(values) for values in zip(*costs, strict=True))
    return [
        (f"CPU to ready{what}", f"{ready:.2f} s", "<= 1.2 s"),
        (f"idle resident memory{what}", f"{resident / 1048576:.1f} MiB", "<= 95 MiB"),
        (f"idle CPU with probes and scrapes{what}", f"{idle * 1000:.1f} m", "<= 5 m"),
    ]


def process_cost(script: str, environment: dict[str, str], log: BinaryIO) -> tuple[float, float, int]:
    """CPU seconds to ready, cores used when idle and bytes resident then, of one process."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / script)],
        env={**environment, "PORT": str(port)},
        stdout=log,
        stderr=log,
    )
    try:
        ready = until_ready(process, port)
        time.sleep(SETTLE_SECONDS)
        return ready, *idle_cost(process, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def until_ready(process: subprocess.Popen[bytes], port: int) -> float:
    """CPU seconds until the first 200 of readiness."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if ask(port, "/actuator/health/readiness") == 200:
            return cpu_seconds(process.pid)
        time.sleep(0.05)
    raise AssertionError("not ready within 60 s")


def idle_cost(process: subprocess.Popen[bytes], port: int) -> tuple[float, int]:
    """Cores used and bytes resident over some seconds, probed as in the cluster."""
    before, started = cpu_seconds(process.pid), time.monotonic()
    for second in range(IDLE_SECONDS):
        if second % 5 == 0:
            ask(port, "/actuator/prometheus")
        if second % 10 == 0:
            ask(port, "/actuator/health/readiness")
            ask(port, "/actuator/health/liveness")
        time.sleep(1)
    used = (cpu_seconds(process.pid) - before) / (time.monotonic() - started)
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return used, pages * os.sysconf("SC_PAGE_SIZE")


def ask(port: int, path: str) -> int:
    """The status, or 0 when nobody listens yet."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    # The CPU clock of a process (clock_getcpuclockid(3)): /proc counts in steps of 10 ms, too coarse here.
    return time.clock_gettime((~pid << 3) | 2)


if __name__ == "__main__":
    main()
