"""The shop as processes: the provider's sandbox and five services, of inventory two processes.

While it is being harmed each process lives with one failpoint, and is started again with the next one when it
has died of it. `calm` starts all of them without any.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from mambogo_chassis.failpoint_actions import CRASH_STATUS
from mambogo_testkit.ports import free_port
from rehearsal.chaos.proving.collecting import WITH_DATABASE

from mambogo_audit.killing import Death, Deaths, Deck
from mambogo_audit.parts import Parts
from mambogo_audit.tree import MODULES, Tree

# Processes by name, and whose they are. Two of inventory: its consumers share the partitions, and meet at the
# rows of stock.
PROCESSES: Final = {**{name: name for name in MODULES}, "inventory-2": "inventory"}
# A provider of whom everything has to be expected.
HARMFUL: Final = {
    "lost_reply_every": 23,
    "decline_amounts_ending": ["7"],
    "duplicate_webhooks": 1,
    "reorder_webhooks": True,
}
_READY_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.1
# Who has not reached its failpoint by then is killed where it is.
_REACH_SECONDS: Final = 60.0
_API_KEY: Final = "audit-provider-key"
_WEBHOOK_SECRET: Final = "audit-webhook-secret"  # noqa: S105 - of a sandbox that lives for this run
OWN_SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    # Stuck orders are driven on while the run lasts, and not only after it.
    "order": {"SWEEP_INTERVAL_SECONDS": "1", "ORDER_RESEND_AFTER_SECONDS": "5"},
    # Read anew each second: carts meet changed prices.
    "cart": {"PRICE_FRESH_SECONDS": "1"},
}


@dataclass
class Shop:
    """Started, harmed, calmed and closed by one run."""

    parts: Parts
    tree: Tree
    seed: int
    deaths: Deaths
    # How often a failpoint is passed before it kills (None: as `killing` says for each), and how often each
    # kills in a round (None: as long as there is a round).
    passes: tuple[int, int] | None = None
    times: int | None = None
    processes: Mapping[str, str] = field(default_factory=lambda: PROCESSES)
    # What the provider does to its merchants.
    switches: Mapping[str, Any] = field(default_factory=lambda: HARMFUL)
    ports: dict[str, int] = field(default_factory=dict)
    _processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    _keepers: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _rounds: int = 0

    @property
    def urls(self) -> dict[str, str]:
        """Where each process answers."""
        return {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}

    async def start(self) -> None:
        """Start everything without failpoints; returns when all are ready."""
        self.ports = {name: free_port() for name in (*self.processes, "sandbox")}
        self._processes["sandbox"] = await self._spawn("sandbox", "mambogo_sandbox", self._sandbox())
        for name in self.processes:
            await self._start(name, None)
        await asyncio.gather(*(self._ready(name) for name in self.processes))
        await self._sandbox_request("PUT", "/admin/switches", json=self.switches)

    async def harm(self) -> None:
        """From now on whoever has failpoints dies again and again."""
        self._rounds += 1
        for name, service in self.processes.items():
            if places := self.deaths.wanted.get(service):
                # With the same seed each round would die where the last one did.
                seed = f"{self.seed} {name} {self._rounds}"
                deck = Deck(service, places, seed, passes=self.passes, times=self.times)
                self._keepers[name] = asyncio.create_task(self._keep(name, deck))

    async def calm(self) -> None:
        """No more failpoints: whoever has one is started again without; all are ready."""
        armed = [name for name, keeper in self._keepers.items() if not keeper.done()]
        await self._dismiss()
        for name in armed:
            await self._end(name)
            await self._start(name, None)
        await asyncio.gather(*(self._ready(name) for name in self.processes))

    async def close(self) -> None:
        """End every process."""
        await self._dismiss()
        for name in list(self._processes):
            await self._end(name)

    async def ledger(self) -> list[dict[str, Any]]:
        """Everything in the provider's books."""
        entries: list[dict[str, Any]] = []
        while True:
            after = entries[-1]["number"] if entries else 0
            more = (await self._sandbox_request("GET", f"/admin/ledger?after={after}"))["entries"]
            if not more:
                return entries
            entries += more

    async def _sandbox_request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.urls['sandbox']}{path}", **options) as answer,
        ):
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
            return found

    async def _dismiss(self) -> None:
        for keeper in self._keepers.values():
            keeper.cancel()
        for ended in await asyncio.gather(*self._keepers.values(), return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        self._keepers.clear()

    async def _keep(self, name: str, deck: Deck) -> None:
        await self._end(name)
        while (death := deck.draw()) is not None:
            await self._start(name, death)
            try:
                status = await asyncio.wait_for(self._processes[name].wait(), _REACH_SECONDS)
            except TimeoutError:
                await self._end(name)
                self.deaths.elsewhere[death.service] += 1
                deck.put_back(death)
                continue
            if status == CRASH_STATUS:
                self.deaths.counts[death.service, death.place] += 1
            else:
                self.deaths.accidents.append(f"{name} ended with {status}: see {self._log(name)}")
        await self._start(name, None)

    async def _start(self, name: str, death: Death | None) -> None:
        environment = self._environment(name)
        if death is not None:
            environment["MAMBOGO_FAILPOINTS"] = str(death)
        self._processes[name] = await self._spawn(name, MODULES[self.processes[name]], environment)

    async def _spawn(
        self, name: str, module: str, environment: Mapping[str, str]
    ) -> asyncio.subprocess.Process:
        inherited = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        own = {"PYTHONPATH": self.tree.python_path}
        with self._log(name).open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, env={**inherited, **own, **environment}, stdout=log, stderr=log
            )

    def _log(self, name: str) -> Path:
        return self.parts.folder / f"{name}.log"

    async def _end(self, name: str) -> None:
        process = self._processes[name]
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()

    async def _ready(self, name: str) -> None:
        async with asyncio.timeout(_READY_SECONDS), aiohttp.ClientSession() as session:
            while True:
                if (code := self._processes[name].returncode) is not None:
                    raise RuntimeError(f"{name} ended with {code}: see {self._log(name)}")
                with suppress(aiohttp.ClientError):
                    async with session.get(f"{self.urls[name]}/actuator/health/readiness") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(_LOOK_SECONDS)

    def _sandbox(self) -> dict[str, str]:
        return {
            "HOST": "127.0.0.1",
            "PORT": str(self.ports["sandbox"]),
            "DATABASE_PATH": str(self.parts.folder / "provider.db"),
            "API_KEY": _API_KEY,
            "WEBHOOK_URL": f"{self.urls['payment']}/api/payments/webhooks/provider",
            "WEBHOOK_SECRET": _WEBHOOK_SECRET,
        }

    def _environment(self, name: str) -> dict[str, str]:
        service = self.processes[name]
        made = {
            "SPRING_PROFILES_ACTIVE": "test",
            "HOST": "127.0.0.1",
            "PORT": str(self.ports[name]),
            "DRAIN_SECONDS": "0",
            "LOG_LEVEL": "WARNING",
            "ACCESS_LOG": "false",
            "SERVICE_ADDRESSES": ",".join(f"{one}-service={self.urls[one]}" for one in MODULES),
            **self.parts.issuer.environment,
            **OWN_SETTINGS.get(service, {}),
        }
        if service in WITH_DATABASE:
            made |= self._stores(name)
        if service in ("product", "cart"):
            made |= self._redis()
        if service == "payment":
            made |= {
                "PROVIDER_URL": self.urls["sandbox"],
                "PROVIDER_API_KEY": _API_KEY,
                "PROVIDER_WEBHOOK_SECRET": _WEBHOOK_SECRET,
            }
        return made

    def _stores(self, name: str) -> dict[str, str]:
        database = self.parts.databases[self.processes[name]]
        return {
            "DB_HOST": database.host,
            "DB_PORT": str(database.port),
            "DB_NAME": database.name,
            "DB_USER": database.user,
            "DB_PASSWORD": database.password,
            "KAFKA_BOOTSTRAP_SERVERS": self.parts.topics.bootstrap_servers,
            "KAFKA_PREFIX": self.parts.topics.prefix,
            # A restarted member takes its partitions over at once, as a pod of a StatefulSet does.
            "CONSUMER_INSTANCE_ID": name,
            # All that was ever sent is compared at the end.
            "OUTBOX_RETENTION_SECONDS": "86400",
        }

    def _redis(self) -> dict[str, str]:
        space = self.parts.redis
        return {
            "REDIS_HOST": space.host,
            "REDIS_PORT": str(space.port),
            "REDIS_DATABASE": str(space.number),
            "REDIS_PASSWORD": urlsplit(space.url).password or "",
        }
