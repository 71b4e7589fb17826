"""Kafka: one broker per run, a prefix of its own for the topics and groups of each test."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from mambogo_testkit.engine import Engine, Spec
from mambogo_testkit.images import ensure_image
from mambogo_testkit.ports import reserve_port
from mambogo_testkit.proxy import FaultProxy
from mambogo_testkit.running import HOST, Running, Server
from mambogo_testkit.waiting import wait_until

KIND = "kafka"
_DATA = "/var/lib/kafka"
# As many tests can have a proxy at once.
_WAYS = tuple(f"proxied_{number}" for number in range(4))
_WAY_SECONDS = 600.0
_METADATA_TIMEOUT_SECONDS = 1.0
_ADMIN_TIMEOUT_SECONDS = 15.0
# Inside the container the broker talks to itself on 9092; clients of the host use the third listener,
# which is advertised with the port that the host sees. The others are advertised with ports on which only
# `proxied` listens: clients go where a broker tells them, so nothing else would keep them on a proxy.
_LISTENERS = {KIND: ("HOST", 9094), **{way: (way.upper(), at) for at, way in enumerate(_WAYS, 9095)}}
_ENVIRONMENT = {
    "KAFKA_CFG_LISTENERS": ",".join(
        ["PLAINTEXT://:9092", "CONTROLLER://:9093", *(f"{name}://:{at}" for name, at in _LISTENERS.values())]
    ),
    # A killed broker may register again only when its old session is over: 9 s by default.
    "KAFKA_CFG_BROKER_SESSION_TIMEOUT_MS": "4000",
    "KAFKA_CFG_BROKER_HEARTBEAT_INTERVAL_MS": "1000",
    "KAFKA_CFG_LISTENER_SECURITY_PROTOCOL_MAP": ",".join(
        f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *dict(_LISTENERS.values()))
    ),
}

_quiet = logging.getLogger("mambogo_testkit.librdkafka")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False  # refused connections are what waiting for a broker is made of


@dataclass(slots=True)
class TopicSpace:
    """The topics of one test: all names begin with its prefix."""

    bootstrap_servers: str
    prefix: str
    _admin: AdminClient = field(repr=False)
    _created: list[str] = field(default_factory=list)

    def create(self, name: str, *, partitions: int = 3, config: dict[str, str] | None = None) -> str:
        """Create a topic (replication factor 1) and return its full name, which is `name` with the prefix."""
        topic = self.name(name)
        made = self._admin.create_topics(
            [NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config or {})],
            operation_timeout=_ADMIN_TIMEOUT_SECONDS,
        )
        made[topic].result(timeout=_ADMIN_TIMEOUT_SECONDS)
        self._created.append(topic)
        self.await_topics(topic)
        return topic

    def await_topics(self, *topics: str) -> None:
        """Wait until the broker knows topics: the controller says that they are made before it does."""
        wait_until("the broker's metadata", lambda: self._missing(topics), _ADMIN_TIMEOUT_SECONDS)

    def _missing(self, topics: tuple[str, ...]) -> str | None:
        known = self._admin.list_topics(timeout=_ADMIN_TIMEOUT_SECONDS).topics
        return ", ".join(topic for topic in topics if topic not in known) or None

    def name(self, name: str) -> str:
        """Put the prefix before the name of a topic, a group or a transactional id."""
        return f"{self.prefix}{name}"

    def drop(self) -> None:
        """Delete the topics; the broker does the work later, and nobody waits for it."""
        if self._created:
            # A test that ends with its broker stopped has nothing to delete.
            gone = self._admin.delete_topics(self._created, request_timeout=_ADMIN_TIMEOUT_SECONDS)
            for done in gone.values():
                with contextlib.suppress(KafkaException):
                    done.result(timeout=_ADMIN_TIMEOUT_SECONDS)


class KafkaBroker(Server):
    """A running broker in KRaft mode, topics created only on request."""

    title = "Kafka"
    ready_timeout_seconds = 120.0

    @property
    def bootstrap_servers(self) -> str:
        """Address for `bootstrap.servers`."""
        return f"{HOST}:{self.running.ports[KIND]}"

    @contextlib.contextmanager
    def proxied(self) -> Iterator[FaultProxy]:
        """A proxy that its clients stay on; its address is their `bootstrap.servers`.

        There are four ways through one; tests beyond that wait for each other here.
        """
        with contextlib.ExitStack() as held:
            taken: list[str] = []

            def take() -> str | None:
                for way in _WAYS:
                    if self._lock(way, held):
                        taken.append(way)
                        return None
                return "each is in use by another test"

            wait_until("a way through a proxy", take, _WAY_SECONDS)
            [way] = taken
            listen_on = int(self.running.details[way])
            yield held.enter_context(FaultProxy(HOST, self.running.ports[way], listen_on=listen_on))

    def _lock(self, way: str, held: contextlib.ExitStack) -> bool:
        name = f"mambogo-testkit-proxy-{self.running.details[way]}.lock"
        file = (Path(tempfile.gettempdir()) / name).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        held.callback(file.close)
        return True

    def missing(self) -> str | None:
        """Ask for metadata: topics can be created once a broker is named in it."""
        try:
            brokers = self._admin().list_topics(timeout=_METADATA_TIMEOUT_SECONDS).brokers
        except KafkaException as error:
            return str(error)
        return None if brokers else "no broker is registered"

    @contextlib.contextmanager
    def topics(self) -> Iterator[TopicSpace]:
        """Give out a prefix, and delete the topics that were created with it afterwards."""
        space = TopicSpace(self.bootstrap_servers, f"test-{secrets.token_hex(4)}.", self._admin())
        try:
            yield space
        finally:
            space.drop()

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap_servers}, logger=_quiet)


def start(engine: Engine) -> Running:
    """Start a broker that is its own controller, with empty logs, which it keeps over stop and start."""
    return _start(engine, data=(_DATA,))


def start_in_memory(engine: Engine) -> Running:
    """Start one that loses everything when it stops: a topic is dozens of files, dear to make on a disk."""
    return _start(engine, scratch=(_DATA,))


def _start(engine: Engine, *, data: tuple[str, ...] = (), scratch: tuple[str, ...] = ()) -> Running:
    image = ensure_image(engine.client, "kafka")
    proxies = {way: reserve_port() for way in _WAYS}

    def spec(ports: dict[str, int]) -> Spec:
        seen = {**ports, **proxies}
        advertised = [f"{name}://{HOST}:{seen[port]}" for port, (name, _) in _LISTENERS.items()]
        return Spec(
            kind=KIND,
            image=image,
            ports={port: inside for port, (_, inside) in _LISTENERS.items()},
            env={
                **_ENVIRONMENT,
                "KAFKA_CFG_ADVERTISED_LISTENERS": ",".join(["PLAINTEXT://localhost:9092", *advertised]),
            },
            scratch=("/tmp", *scratch),  # noqa: S108 - inside the container
            data=data,
        )

    container, ports = engine.start(_LISTENERS, spec)
    return Running(KIND, (container,), ports, {way: str(port) for way, port in proxies.items()})
