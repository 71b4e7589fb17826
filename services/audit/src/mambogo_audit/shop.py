"""The shop as processes on real parts: databases, topics, a Redis, the provider's sandbox, five services.

Each service lives with one failpoint, drawn from a seed, and is started again with the next one when it has
died of it. `calm` starts all of them without any.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from mambogo_chassis.database.migrate import Migrations, upgrade
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database
from mambogo_testkit.dependencies.redis import RedisSpace
from mambogo_testkit.issuing import Issuer
from mambogo_testkit.ports import free_port
from sqlalchemy import URL

SERVICES: Final = Path(__file__).parents[3]
MODULES: Final = {
    "product": "mambogo_product",
    "inventory": "mambogo_inventory",
    "payment": "mambogo_payment",
    "order": "mambogo_order.main",
    "cart": "mambogo_cart.main",
}
WITH_DATABASE: Final = ("product", "inventory", "payment", "order")
TOPICS: Final = ("orders", "inventory", "payments", "products")
_RELAY: Final = ("relay.claimed", "relay.published", "relay.marked", "relay.committed")
_CONSUMER: Final = ("consumer.fetched", "consumer.effected", "consumer.applied", "consumer.committed")
_KEYS: Final = ("idempotency.stored", "idempotency.committed")
_PROVIDER: Final = (
    "payment.claimed",
    "payment.authorised",
    "payment.captured",
    "payment.recorded",
    "payment.concluded",
)
FAILPOINTS: Final = {
    "inventory": (*_RELAY, *_CONSUMER),
    "payment": (*_RELAY, *_CONSUMER, *_PROVIDER),
    "order": (*_RELAY, *_CONSUMER, *_KEYS),
}
# How often a failpoint is passed before it kills: a process should do some work between two deaths.
_PASSES: Final = (5, 120)
_READY_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.1
_API_KEY: Final = "audit-provider-key"
_WEBHOOK_SECRET: Final = "audit-webhook-secret"  # noqa: S105 - of a sandbox that lives for this run


@dataclass(frozen=True, slots=True)
class Parts:
    """What the services stand on."""

    databases: Mapping[str, Database]
    topics: TopicSpace
    redis: RedisSpace
    issuer: Issuer
    folder: Path


def migrate(databases: Mapping[str, Database]) -> None:
    """Make every service's tables, as its Job does."""
    for name, database in databases.items():
        url = URL.create(
            "postgresql+psycopg",
            username=database.user,
            password=database.password,
            host=database.host,
            port=database.port,
            database=database.name,
        )
        upgrade(url, Migrations(SERVICES / name / "migrations"))


@dataclass
class Shop:
    """Five services and the sandbox, kept alive."""

    parts: Parts
    seed: int
    ports: dict[str, int] = field(default_factory=dict)
    deaths: list[str] = field(default_factory=list)
    _processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    _keepers: list[asyncio.Task[None]] = field(default_factory=list)
    _is_calm: bool = False

    def url(self, name: str) -> str:
        """Where a service answers."""
        return f"http://127.0.0.1:{self.ports[name]}"

    async def start(self) -> None:
        """Start everything without failpoints; returns when all are ready."""
        self.ports = {name: free_port() for name in (*MODULES, "sandbox")}
        self._processes["sandbox"] = await self._spawn("sandbox", "mambogo_sandbox", self._sandbox())
        for name in MODULES:
            await self._start(name, "")
        await asyncio.gather(*(self._ready(name) for name in MODULES))

    async def kill_at_failpoints(self) -> None:
        """From now on each of the three that carry an order dies again and again."""
        for name in FAILPOINTS:
            self._keepers.append(asyncio.create_task(self._keep(name)))

    async def calm(self) -> None:
        """No more failpoints: everything is started again without, and ready."""
        self._is_calm = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for name in FAILPOINTS:
            await self._end(name)
            await self._start(name, "")
        await asyncio.gather(*(self._ready(name) for name in MODULES))

    async def close(self) -> None:
        """End every process."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for name in list(self._processes):
            await self._end(name)

    async def _keep(self, name: str) -> None:
        draw = random.Random(f"{self.seed} {name}")  # noqa: S311 - a seed decides where it dies
        await self._end(name)
        while True:
            failpoint = f"{draw.choice(FAILPOINTS[name])}=crash@{draw.randint(*_PASSES)}"
            await self._start(name, failpoint)
            await self._processes[name].wait()
            self.deaths.append(f"{name} {failpoint}")

    async def _start(self, name: str, failpoint: str) -> None:
        environment = self._environment(name)
        if failpoint:
            environment["MAMBOGO_FAILPOINTS"] = failpoint
        self._processes[name] = await self._spawn(name, MODULES[name], environment)

    async def _spawn(
        self, name: str, module: str, environment: Mapping[str, str]
    ) -> asyncio.subprocess.Process:
        inherited = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        with (self.parts.folder / f"{name}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, env={**inherited, **environment}, stdout=log, stderr=log
            )

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
                    raise RuntimeError(f"{name} ended with {code}: see {self.parts.folder}/{name}.log")
                with suppress(aiohttp.ClientError):
                    async with session.get(f"{self.url(name)}/actuator/health/readiness") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(_LOOK_SECONDS)

    def _sandbox(self) -> dict[str, str]:
        return {
            "HOST": "127.0.0.1",
            "PORT": str(self.ports["sandbox"]),
            "DATABASE_PATH": str(self.parts.folder / "provider.db"),
            "API_KEY": _API_KEY,
            "WEBHOOK_URL": f"{self.url('payment')}/api/payments/webhooks/provider",
            "WEBHOOK_SECRET": _WEBHOOK_SECRET,
        }

    def _environment(self, name: str) -> dict[str, str]:
        made = {
            "SPRING_PROFILES_ACTIVE": "test",
            "HOST": "127.0.0.1",
            "PORT": str(self.ports[name]),
            "DRAIN_SECONDS": "0",
            "LOG_LEVEL": "WARNING",
            "ACCESS_LOG": "false",
            "SERVICE_ADDRESSES": ",".join(f"{one}-service={self.url(one)}" for one in MODULES),
            **self.parts.issuer.environment,
        }
        if name in WITH_DATABASE:
            database = self.parts.databases[name]
            made |= {
                "DB_HOST": database.host,
                "DB_PORT": str(database.port),
                "DB_NAME": database.name,
                "DB_USER": database.user,
                "DB_PASSWORD": database.password,
            }
        made |= {
            "KAFKA_BOOTSTRAP_SERVERS": self.parts.topics.bootstrap_servers,
            "KAFKA_PREFIX": self.parts.topics.prefix,
        }
        if name in ("product", "cart"):
            space = self.parts.redis
            made |= {
                "REDIS_HOST": space.host,
                "REDIS_PORT": str(space.port),
                "REDIS_DATABASE": str(space.number),
                "REDIS_PASSWORD": urlsplit(space.url).password or "",
            }
        if name == "payment":
            made |= {
                "PROVIDER_URL": self.url("sandbox"),
                "PROVIDER_API_KEY": _API_KEY,
                "PROVIDER_WEBHOOK_SECRET": _WEBHOOK_SECRET,
            }
        return made
