"""Rolling restarts of pods and of gateways under load: no request fails.

Everything is a process of its own and stops as in the cluster: SIGTERM, then the registry forgets a pod
within a second, and clients take a gateway whose readiness is false out of their choice. The client offers
a constant rate and retries nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Process
from rig import Client, get, post, run
from tokens import Issuer

_HERE = Path(__file__).parent
_RATE_PER_SECOND = 300
_ROUNDS = 5
# The registry's fetch interval: for so long after its SIGTERM a pod still gets new requests.
_REGISTRY_SECONDS = 1.0
_DRAIN_SECONDS = 2.5


class Fleet:
    """Two pods and two gateways."""

    def __init__(self, directory: Path, issuer: Issuer) -> None:
        self._registry = directory / "instances"
        routes = directory / "routes.yaml"
        routes.write_text(
            "routes: [{id: items, path: /api/items/**, service: item-service}]\nlimits: {per_user: null}\n"
        )
        drain = {"DRAIN_SECONDS": str(_DRAIN_SECONDS)}
        environment = {**issuer.environment(), **drain, "ROUTES_FILE": str(routes)}
        self.pods = [Process([str(_HERE / "pod_process.py")], drain) for _ in range(2)]
        self.gateways = [
            Process([str(_HERE / "gateway_process.py"), str(self._registry)], environment) for _ in range(2)
        ]
        self.choosable: list[Process] = []
        self.register(self.pods)

    def register(self, pods: list[Process]) -> None:
        """What the registry says from now on."""
        lines = [f"item-service 127.0.0.1 {pod.port}\n" for pod in pods]
        fresh = self._registry.with_suffix(".new")
        fresh.write_text("".join(lines))
        fresh.replace(self._registry)

    async def start(self) -> None:
        """Start all and wait for them."""
        for process in (*self.pods, *self.gateways):
            process.start()
        for process in (*self.pods, *self.gateways):
            await process.ready()
        self.choosable = list(self.gateways)

    def kill(self) -> None:
        """End all."""
        for process in (*self.pods, *self.gateways):
            process.kill()

    async def restart_pod(self, pod: Process) -> None:
        """As a rollout does it."""
        pod.terminate()
        await asyncio.sleep(_REGISTRY_SECONDS)
        self.register([other for other in self.pods if other is not pod])
        assert await pod.ended() == 0
        pod.start()
        await pod.ready()
        self.register(self.pods)

    async def restart_gateway(self, gateway: Process) -> None:
        """As a rollout does it; clients see its readiness as fast as a probe would tell them."""
        gateway.terminate()
        end = time.monotonic() + _DRAIN_SECONDS
        while await gateway.is_ready():
            assert time.monotonic() < end, "readiness did not turn false while requests were still taken"
        await asyncio.sleep(_REGISTRY_SECONDS)
        self.choosable.remove(gateway)
        assert await gateway.ended() == 0
        gateway.start()
        await gateway.ready()
        self.choosable.append(gateway)


class Load:
    """A constant rate of requests over kept connections, oldest first, none retried."""

    def __init__(self, fleet: Fleet, token: str) -> None:
        self._fleet = fleet
        self._authorization = f"Authorization: Bearer {token}"
        self._idle: deque[Client] = deque()
        self._turn = 0
        self.sent = 0
        self.failures: list[str] = []
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Offer the rate until cancelled, then wait for what is under way."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            while True:
                due = int((loop.time() - started) * _RATE_PER_SECOND)
                while self.sent < due:
                    self.sent += 1
                    task = loop.create_task(self._one(self.sent))
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)
                await asyncio.sleep(0.005)
        finally:
            await asyncio.gather(*self._running)
            for client in self._idle:
                client.abort()

    async def _one(self, number: int) -> None:
        raw = (
            post(b"{}", self._authorization)
            if number % 5 == 0
            else get(f"/api/items/{number}", self._authorization)
        )
        try:
            client = await self._connection()
            answer = await client.ask(raw)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.failures.append(f"request {number}: {error!r}")
            return
        if answer.status >= 400:
            self.failures.append(f"request {number}: {answer.head!r} {answer.body!r}")
        if answer.field("Connection") == "close":
            client.abort()
        else:
            self._idle.append(client)

    async def _connection(self) -> Client:
        while self._idle:
            client = self._idle.popleft()
            if not client.reader.at_eof():
                return client
        self._turn += 1
        gateway = self._fleet.choosable[self._turn % len(self._fleet.choosable)]
        return Client(*await asyncio.open_connection("127.0.0.1", gateway.port))


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """Tokens that the gateways trust."""
    made = Issuer()
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rolling_restarts_fail_no_request(tmp_path: Path, issuer: Issuer) -> None:
    async def test() -> None:
        fleet = Fleet(tmp_path, issuer)
        try:
            await fleet.start()
            load = Load(fleet, issuer.token("alice"))
            running = asyncio.ensure_future(load.run())
            for _ in range(_ROUNDS):
                for pod in fleet.pods:
                    await fleet.restart_pod(pod)
                for gateway in fleet.gateways:
                    await fleet.restart_gateway(gateway)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert load.failures == []
            assert load.sent > _ROUNDS * 4 * _DRAIN_SECONDS * _RATE_PER_SECOND
        finally:
            fleet.kill()

    run(test(), seconds=850)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_check_finds_a_pod_that_does_not_drain(tmp_path: Path, issuer: Issuer) -> None:
    async def test() -> None:
        fleet = Fleet(tmp_path, issuer)
        try:
            await fleet.start()
            load = Load(fleet, issuer.token("alice"))
            running = asyncio.ensure_future(load.run())
            for pod in fleet.pods * 3:
                pod.kill()
                pod.start()
                await pod.ready()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert load.failures
        finally:
            fleet.kill()

    run(test(), seconds=580)
