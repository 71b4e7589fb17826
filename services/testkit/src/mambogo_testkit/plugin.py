"""The pytest plugin: who owns the fleet, and the fixtures that tests ask for.

Without xdist the one process owns the containers; with it the controller does, and the workers ask
it. Where a keeper owns them (`keeping`), all ask the keeper. What the collected tests name as fixtures starts
at once and in parallel; nothing else starts.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import docker
import pytest

from mambogo_testkit.broker import FleetServer, RemoteFleet
from mambogo_testkit.dependencies.config_server import ConfigServer, ConfigSpace
from mambogo_testkit.dependencies.eureka import EurekaApps, EurekaServer
from mambogo_testkit.dependencies.kafka import KafkaBroker, TopicSpace
from mambogo_testkit.dependencies.keycloak import KeycloakServer
from mambogo_testkit.dependencies.postgres import Database, PostgresServer
from mambogo_testkit.dependencies.redis import RedisServer, RedisSpace
from mambogo_testkit.engine import connect
from mambogo_testkit.errors import TestkitError
from mambogo_testkit.fleet import KINDS, Fleet, Supplier
from mambogo_testkit.keeping import VARIABLE
from mambogo_testkit.realms import Realm
from mambogo_testkit.running import Server

_SOCKET_KEY = "mambogo_testkit_socket"
_FIXTURE_OF_KIND = {
    "postgres": "postgres_server",
    "redis": "redis_server",
    "kafka": "kafka_broker",
    "keycloak": "keycloak_server",
    "eureka": "eureka_server",
    "config_server": "config_server",
}

S = TypeVar("S", bound=Server)


class _Session:
    """The plugin's state of one pytest process."""

    def __init__(self, config: pytest.Config) -> None:
        given = getattr(config, "workerinput", {}).get(_SOCKET_KEY)
        kept = os.environ.get(VARIABLE)
        self._path: str | None = given or kept
        self.supplier: Supplier = RemoteFleet(self._path) if self._path else Fleet()
        self._is_run_with_keeper = kept is not None and given is None
        self._server: FleetServer | None = None
        self._client: docker.DockerClient | None = None

    def socket_path(self) -> str:
        if self._path is None:
            self._server = FleetServer(self.supplier)
            self._path = self._server.path
        return self._path

    def client(self) -> docker.DockerClient:
        if self._client is None:
            self._client = connect()
        return self._client

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._client is not None:
            self._client.close()
        if self._is_run_with_keeper:
            # A keeper that has ended has removed them itself.
            with contextlib.suppress(TestkitError):
                self.supplier.remove_released()
        self.supplier.close()


_KEY = pytest.StashKey[_Session]()


def pytest_configure(config: pytest.Config) -> None:
    """Decide whether this process owns the containers or asks their owner."""
    config.stash[_KEY] = _Session(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # an xdist type, and xdist is optional
    """Tell an xdist worker, before it starts, where the owner listens."""
    node.workerinput[_SOCKET_KEY] = node.config.stash[_KEY].socket_path()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to start what the collected tests will ask for."""
    if session.config.option.collectonly:
        return
    fixtures = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    wanted = [kind for kind, fixture in _FIXTURE_OF_KIND.items() if fixture in fixtures]
    if wanted:
        session.config.stash[_KEY].supplier.want(wanted)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove every container of the run."""
    if _KEY in config.stash:
        config.stash[_KEY].close()


def _shared(request: pytest.FixtureRequest, kind: str) -> Server:
    session = request.config.stash[_KEY]
    return KINDS[kind].server(session.supplier.get(kind), session.client(), shared=True)


@contextlib.contextmanager
def _owned(request: pytest.FixtureRequest, kind: str) -> Iterator[Server]:
    session = request.config.stash[_KEY]
    running = session.supplier.own(kind)
    try:
        yield KINDS[kind].server(running, session.client(), shared=False)
    finally:
        session.supplier.release(running)


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> PostgresServer:
    """The run's PostgreSQL. Tests rather take `postgres_database`."""
    return cast("PostgresServer", _shared(request, "postgres"))


@pytest.fixture(scope="session")
def postgres_template() -> str | None:
    """Name of the database that `postgres_database` is copied from; override it to have tables."""
    return None


@pytest.fixture
def postgres_database(postgres_server: PostgresServer, postgres_template: str | None) -> Iterator[Database]:
    """A fresh database with an owner of its own."""
    with postgres_server.database(postgres_template) as database:
        yield database


@pytest.fixture
def make_postgres_database(postgres_server: PostgresServer) -> Iterator[Callable[[str | None], Database]]:
    """Make as many fresh databases as the test wants, each from a template or empty (None)."""
    with contextlib.ExitStack() as stack:
        yield lambda template: stack.enter_context(postgres_server.database(template))


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> RedisServer:
    """The run's Redis. Tests rather take `redis_space`."""
    return cast("RedisServer", _shared(request, "redis"))


@pytest.fixture
def redis_space(redis_server: RedisServer) -> Iterator[RedisSpace]:
    """An empty numbered database of Redis."""
    with redis_server.space() as space:
        yield space


@pytest.fixture(scope="session")
def kafka_broker(request: pytest.FixtureRequest) -> KafkaBroker:
    """The run's Kafka. Tests rather take `kafka_topics`."""
    return cast("KafkaBroker", _shared(request, "kafka"))


@pytest.fixture
def kafka_topics(kafka_broker: KafkaBroker) -> Iterator[TopicSpace]:
    """A prefix for topics and groups, and the way to create topics."""
    with kafka_broker.topics() as space:
        yield space


@pytest.fixture(scope="session")
def keycloak_server(request: pytest.FixtureRequest) -> KeycloakServer:
    """The run's Keycloak. Tests rather take `keycloak_realm`."""
    return cast("KeycloakServer", _shared(request, "keycloak"))


@pytest.fixture
def keycloak_realm(keycloak_server: KeycloakServer) -> Iterator[Realm]:
    """An empty realm, and the way to its clients, users and tokens."""
    with keycloak_server.realm() as realm:
        yield realm


@pytest.fixture(scope="session")
def eureka_server(request: pytest.FixtureRequest) -> EurekaServer:
    """The run's Eureka. Tests rather take `eureka_apps`."""
    return cast("EurekaServer", _shared(request, "eureka"))


@pytest.fixture
def eureka_apps(eureka_server: EurekaServer) -> EurekaApps:
    """Application names of the test's own."""
    return eureka_server.apps()


@pytest.fixture(scope="session")
def config_server(request: pytest.FixtureRequest) -> ConfigServer:
    """The run's config server. Tests rather take `config_space`."""
    return cast("ConfigServer", _shared(request, "config_server"))


@pytest.fixture
def config_space(config_server: ConfigServer) -> ConfigSpace:
    """Application names of the test's own, and the way to set their configuration."""
    return config_server.space()


@pytest.fixture
def own_postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A PostgreSQL that only this test uses, and may stop, kill and pause."""
    with _owned(request, "postgres") as server:
        yield cast("PostgresServer", server)


@pytest.fixture
def own_redis(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A Redis that only this test uses, and may stop, kill and pause."""
    with _owned(request, "redis") as server:
        yield cast("RedisServer", server)


@pytest.fixture
def own_kafka(request: pytest.FixtureRequest) -> Iterator[KafkaBroker]:
    """A Kafka that only this test uses, and may stop, kill and pause."""
    with _owned(request, "kafka") as server:
        yield cast("KafkaBroker", server)


@pytest.fixture
def own_keycloak(request: pytest.FixtureRequest) -> Iterator[KeycloakServer]:
    """A Keycloak that only this test uses, and may stop, kill and pause; its database is untouched."""
    with _owned(request, "keycloak") as server:
        yield cast("KeycloakServer", server)


@pytest.fixture
def own_eureka(request: pytest.FixtureRequest) -> Iterator[EurekaServer]:
    """A Eureka that only this test uses, and may stop, kill and pause."""
    with _owned(request, "eureka") as server:
        yield cast("EurekaServer", server)


@pytest.fixture
def own_config_server(request: pytest.FixtureRequest) -> Iterator[ConfigServer]:
    """A config server that only this test uses, and may stop, kill and pause."""
    with _owned(request, "config_server") as server:
        yield cast("ConfigServer", server)
