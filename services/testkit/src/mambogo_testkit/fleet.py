"""One set of dependencies per run: started on demand, in parallel, by the process that owns them.

A dependency that a test has broken is mended for the next test that wants one for itself: a JVM that starts
costs many times what its thawing does.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import docker
import docker.errors

from mambogo_testkit.dependencies import config_server, eureka, kafka, keycloak, postgres, redis
from mambogo_testkit.engine import Engine, connect, sweep
from mambogo_testkit.errors import TestkitError
from mambogo_testkit.running import Running, Server

_PARALLEL_STARTS = 8  # more than there are kinds; each start mostly waits


class MakeServer(Protocol):
    """How a handle is made of a description."""

    def __call__(self, running: Running, client: docker.DockerClient, *, shared: bool) -> Server: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of dependency: how to start it, and the handle that tests get."""

    start: Callable[[Engine], Running]
    server: MakeServer
    # How to start the shared one, which nobody stops, where that is another way.
    start_shared: Callable[[Engine], Running] | None = None


# The slowest first: all starts share the machine's CPU, and the last one ready is what a run waits for.
KINDS: dict[str, Kind] = {
    keycloak.KIND: Kind(keycloak.start, keycloak.KeycloakServer),
    eureka.KIND: Kind(eureka.start, eureka.EurekaServer),
    config_server.KIND: Kind(config_server.start, config_server.ConfigServer),
    kafka.KIND: Kind(kafka.start, kafka.KafkaBroker, kafka.start_in_memory),
    postgres.KIND: Kind(postgres.start, postgres.PostgresServer, postgres.start_in_memory),
    redis.KIND: Kind(redis.start, redis.RedisServer),
}
_ORDER = list(KINDS)


class Supplier(Protocol):
    """Where fixtures get their dependencies from: the fleet itself, or the way to it from an xdist worker."""

    def want(self, kinds: Iterable[str]) -> None:
        """Begin to start these; do not wait."""

    def get(self, kind: str) -> Running:
        """Return the run's shared dependency of that kind, ready."""

    def own(self, kind: str) -> Running:
        """Return a dependency, ready, that nobody else gets before it is released."""

    def release(self, running: Running) -> None:
        """Take back what `own` returned, in whatever state it is."""

    def remove_released(self) -> None:
        """Remove what was released and nobody has taken again."""

    def close(self) -> None:
        """Remove everything that this supplier started."""


class Fleet:
    """The dependencies of one run, owned by this process. Safe to use from several threads."""

    def __init__(self, kinds: Mapping[str, Kind] = KINDS) -> None:
        self._kinds = kinds
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._shared: dict[str, Future[Running]] = {}
        self._released: list[Running] = []
        self._pool = ThreadPoolExecutor(_PARALLEL_STARTS, thread_name_prefix="testkit")

    def want(self, kinds: Iterable[str]) -> None:
        """Begin to start these; a failure shows at `get`."""
        with self._lock:
            for kind in sorted(kinds, key=_ORDER.index):
                if kind not in self._shared:
                    self._shared[kind] = self._pool.submit(self._start, kind, shared=True)

    def get(self, kind: str) -> Running:
        """Return the shared dependency, ready; raises the TestkitError that its start ended with."""
        self.want([kind])
        return self._shared[kind].result()

    def own(self, kind: str) -> Running:
        """Mend one that was released, or start another one; raises TestkitError."""
        released = self._take_released(kind)
        if released is None:
            return self._start(kind, shared=False)
        engine = self._connected()
        try:
            self._kinds[kind].server(released, engine.client, shared=False).mend()
        except (TestkitError, docker.errors.DockerException):
            # Whatever the last test did to it is not this one's business.
            engine.remove(released.containers)
            return self._start(kind, shared=False)
        return released

    def release(self, running: Running) -> None:
        """Take it back as it is; it is mended when it is wanted again."""
        with self._lock:
            self._released.append(running)

    def remove_released(self) -> None:
        """Remove what waits to be taken again: a broker that idles costs 2 % of a core."""
        with self._lock:
            released, self._released = self._released, []
        if self._engine is not None:
            self._engine.remove(container for running in released for container in running.containers)

    def _take_released(self, kind: str) -> Running | None:
        with self._lock:
            for running in self._released:
                if running.kind == kind:
                    self._released.remove(running)
                    return running
        return None

    def close(self) -> None:
        """Wait for starts under way, then remove every container of the run."""
        self._pool.shutdown(cancel_futures=True)
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _connected(self) -> Engine:
        with self._lock:
            if self._engine is None:
                with contextlib.closing(connect()) as client:
                    sweep(client)  # before our own network needs an address range
                self._engine = Engine(run=secrets.token_hex(6))
            return self._engine

    def _start(self, kind: str, *, shared: bool) -> Running:
        engine = self._connected()
        of_kind = self._kinds[kind]
        running = ((shared and of_kind.start_shared) or of_kind.start)(engine)
        try:
            of_kind.server(running, engine.client, shared=shared).wait_ready()
        except TestkitError as error:
            tail = engine.log_tail(running.containers[0])
            engine.remove(running.containers)
            raise TestkitError(error.code, f"{error.message}\n{tail}", error.hint) from error
        return running
