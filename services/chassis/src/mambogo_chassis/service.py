"""One service process: its parts, and the order in which they start and stop.

service = Service.load(OrderSettings, "order-service") service.resource("database", open_database)
service.task("outbox-relay", run_relay) service.run(title="Orders", routers=[router])

Resources open in the order of registration and close in reverse; tasks start after them and stop before
them. A resource must open without its dependency being there: a service that waits for others cannot start
first. `database.use_database`, `events.use_events`, `idempotency.use_idempotency` and `redis.use_redis`
register what belongs to each of these parts.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from mambogo_chassis import failpoints
from mambogo_chassis.actuator import Actuator, Health
from mambogo_chassis.auth.keys import KeyCache
from mambogo_chassis.auth.tokens import TokenPolicy, TokenVerifier
from mambogo_chassis.client import CallPolicy, HttpClient
from mambogo_chassis.client.balancing import cluster_address
from mambogo_chassis.client.transport import Transport
from mambogo_chassis.discovery import EurekaAgent, EurekaClient, Registration
from mambogo_chassis.errors import ChassisError
from mambogo_chassis.http import access_log, problems
from mambogo_chassis.http.app import create_app, operations_of
from mambogo_chassis.http.edge import Edge
from mambogo_chassis.http.metrics import HttpMetrics
from mambogo_chassis.http.problems import Translate
from mambogo_chassis.lifecycle import Lifecycle, Stop, Supervisor, TaskFactory, watch_loop_lag
from mambogo_chassis.metrics import Metrics
from mambogo_chassis.serving import GracefulServer, make_server, run
from mambogo_chassis.settings import LiveSettings, LoadReport, ServiceSettings, SettingsError, load_settings
from mambogo_chassis.tracing import Tracer, make_tracer

S = TypeVar("S", bound=ServiceSettings)
ResourceFactory = Callable[[], AbstractAsyncContextManager[Any]]

# Where the last good settings lie; a writable volume of the pod, since its root is read-only.
CACHE_VARIABLE: Final = "SETTINGS_CACHE_DIR"
# sysexits(3), EX_CONFIG: a start that is refused must not look like a crash.
EXIT_CONFIGURATION: Final = 78

# A lease that outlives two lost heartbeats.
HEARTBEATS_PER_LEASE: Final = 3

logger = logging.getLogger(__name__)


class Service(Generic[S]):
    """Everything that one service process consists of."""

    def __init__(self, settings: LiveSettings[S], *, writer: access_log.LineWriter | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.lifecycle = Lifecycle()
        self.supervisor = Supervisor()
        self.health = Health(self.lifecycle, self.supervisor)
        self.tracer: Tracer = _tracer(settings)
        self.verifier: TokenVerifier | None = None
        self._writer = writer
        self._resources: list[tuple[str, ResourceFactory]] = []
        self._translations: dict[type[Exception], Translate] = {}
        self._tasks: list[tuple[str, TaskFactory, Stop | None]] = []
        self.task("loop-lag", lambda: watch_loop_lag(self.metrics))
        self.task("settings", settings.run)
        settings.register_metrics(self.metrics)
        self.transport = Transport()
        self._addresses = _fixed_addresses(settings.current)
        self.registry: EurekaAgent | None = self._set_up_registry()
        self._set_up_tokens()

    @classmethod
    def load(cls, model: type[S], name: str, environment: Mapping[str, str] | None = None) -> Service[S]:
        """A service with its settings read and its logging on; exits with 78 when settings are refused."""
        environment = os.environ if environment is None else environment
        directory = environment.get(CACHE_VARIABLE)
        cache_path = Path(directory) / f"{name}-settings.json" if directory else None
        writer = access_log.LineWriter()
        access_log.install(name, "INFO", writer)
        try:
            enabled = failpoints.enable_from_environment(environment)
            settings, report = load_settings(
                model, application_name=name, environment=environment, cache_path=cache_path
            )
        except ChassisError as error:
            logger.critical("%s", error)
            writer.close()
            sys.exit(EXIT_CONFIGURATION)
        logging.root.setLevel(settings.log_level)
        for warning in report.warnings:
            logger.warning("%s", warning)
        for rule in enabled:
            logger.warning("failpoint enabled: %s", rule)
        live = LiveSettings(settings, report, environment=environment, cache_path=cache_path)
        live.on_change(lambda changed: logging.root.setLevel(changed.log_level))
        return cls(live, writer=writer)

    @classmethod
    def of(cls, settings: S) -> Service[S]:
        """A service from settings that are there already, without logging: for tests."""
        return cls(LiveSettings(settings, LoadReport("none")))

    def resource(self, name: str, factory: ResourceFactory) -> None:
        """Open what `factory` makes at start and close it at the end."""
        self._resources.append((name, factory))

    def task(self, name: str, factory: TaskFactory, stop: Stop | None = None) -> None:
        """Run a background task; should it die, liveness turns red.

        At the end it is asked by `stop` to finish what it has begun, or cancelled where there is none.
        """
        self._tasks.append((name, factory, stop))

    def translate(self, kind: type[Exception], translate: Translate) -> None:
        """Answer errors of `kind` as the ChassisError that `translate` makes of them; None: as a 500."""
        self._translations[kind] = translate

    def resolve(self, target: str) -> Sequence[str]:
        """Addresses of another service now: the settings' own, else the registry's, else its cluster name."""
        if (fixed := self._addresses.get(target)) is not None:
            return fixed
        return self.registry.resolve(target) if self.registry is not None else cluster_address(target)

    def client(self, target: str, policy: CallPolicy | None = None) -> HttpClient:
        """A client for another service, by its name in settings, registry or cluster. Make it once."""
        return HttpClient(
            target,
            self.resolve,
            transport=self.transport,
            metrics=self.metrics,
            tracer=self.tracer,
            policy=policy,
        )

    def app(self, *, title: str, routers: Iterable[APIRouter], description: str = "") -> ASGIApp:
        """The whole ASGI application, edge included."""
        current = self.settings.current
        inner = create_app(
            title=title,
            version=current.version,
            description=description,
            routers=routers,
            verifier=self.verifier,
            lifespan=self._lifespan,
        )
        for kind, translate in self._translations.items():
            problems.translate(inner, kind, translate)
        inner.state.service = self
        metrics = HttpMetrics(self.metrics)
        actuator = Actuator(health=self.health, metrics=self.metrics, info=self._info)
        metrics.declare([*operations_of(inner), *(("GET", route) for route in actuator.routes)])
        return Edge(
            inner,
            actuator=actuator,
            settings=cast("LiveSettings[ServiceSettings]", self.settings),
            lifecycle=self.lifecycle,
            metrics=metrics,
            access_log=self._access_log(),
            tracer=self.tracer,
        )

    def run(self, *, title: str, routers: Iterable[APIRouter], description: str = "") -> None:
        """Serve until SIGTERM or SIGINT; returns when everything is closed."""
        app = self.app(title=title, routers=routers, description=description)

        async def make() -> GracefulServer:
            return self.server(app)

        run(make)
        if self._writer is not None:
            self._writer.close()

    def server(self, app: ASGIApp) -> GracefulServer:
        """The server for `app` by these settings."""
        current = self.settings.current
        return make_server(
            app,
            host=current.host,
            port=current.port,
            lifecycle=self.lifecycle,
            drain_seconds=current.drain_seconds,
            stop_timeout_seconds=current.stop_timeout_seconds,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(self.tracer.close)
            stack.push_async_callback(self.transport.close)
            for _, factory in self._resources:
                await stack.enter_async_context(factory())
            for name, task, stop in self._tasks:
                self.supervisor.start(name, task, stop)
            stack.push_async_callback(self.supervisor.stop)
            yield

    def _set_up_registry(self) -> EurekaAgent | None:
        current = self.settings.current
        if not current.eureka_urls:
            return None
        registration = Registration(
            current.application_name,
            current.instance_host,
            current.port,
            lease_seconds=math.ceil(current.heartbeat_seconds * HEARTBEATS_PER_LEASE),
            heartbeat_seconds=math.ceil(current.heartbeat_seconds),
        )
        agent = EurekaAgent(
            EurekaClient(current.eureka_urls, self.transport),
            registration,
            is_ready=self._is_ready,
            fetch_seconds=lambda: self.settings.current.registry_fetch_seconds,
            metrics=self.metrics,
        )
        self.lifecycle.on_phase(agent.on_phase)
        self.task("registration", agent.keep_registered)
        self.task("registry", agent.keep_cache_fresh)
        return agent

    async def _is_ready(self) -> bool:
        return (await self.health.readiness()).status == "UP"

    def _set_up_tokens(self) -> None:
        current = self.settings.current
        given = (current.issuer_url, current.jwks_url, current.audience)
        if not any(given):
            return
        if not (current.issuer_url and current.jwks_url and current.audience):
            raise SettingsError(("issuer_url, jwks_url and audience belong together: set all or none",))
        algorithms = tuple(current.token_algorithms)
        keys = KeyCache(current.jwks_url, algorithms=frozenset(algorithms), metrics=self.metrics)
        policy = TokenPolicy(
            issuer=current.issuer_url,
            audience=current.audience,
            authorized_parties=frozenset(current.authorized_parties),
            algorithms=algorithms,
            leeway_seconds=current.token_leeway_seconds,
        )
        self.verifier = TokenVerifier(policy, keys)
        self.task("signing-keys", keys.run)

    def _access_log(self) -> access_log.AccessLog | None:
        if self._writer is None:
            return None
        writer = self._writer
        self.metrics.gauge_callback(
            "log_lines_dropped", "Lines that a stalled reader cost.", lambda: float(writer.dropped)
        )
        return access_log.AccessLog(self.settings.current.application_name, writer)

    def _info(self) -> Mapping[str, Any]:
        current, report = self.settings.current, self.settings.report
        return {
            "build": {"name": current.application_name, "version": current.version},
            "git": {"commit": {"id": current.git_sha}},
            "settings": {
                "origin": report.origin,
                "version": report.version,
                "restartNeeded": sorted(self.settings.restart_needed),
            },
        }


def _fixed_addresses(settings: ServiceSettings) -> dict[str, list[str]]:
    addresses: dict[str, list[str]] = {}
    for entry in settings.service_addresses:
        target, _, url = entry.partition("=")
        addresses.setdefault(target, []).append(url)
    return addresses


def _tracer(live: LiveSettings[S]) -> Tracer:
    settings = live.current
    return make_tracer(
        settings.application_name,
        settings.version,
        settings.otlp_endpoint,
        lambda: live.current.trace_sample_ratio,
        settings.instance_host,
    )
