"""Keycloak: one server per run with a PostgreSQL of its own, a realm of its own per test."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

import httpx

from mambogo_testkit import baking, realm_keys
from mambogo_testkit.baking import Baked
from mambogo_testkit.dependencies import postgres
from mambogo_testkit.engine import Engine, Spec
from mambogo_testkit.errors import TestkitError
from mambogo_testkit.images import ensure_image
from mambogo_testkit.realms import Realm, admin_client
from mambogo_testkit.running import HOST, Running, Server
from mambogo_testkit.waiting import status_missing

KIND = "keycloak"
ADMIN = "testkit-admin"
_STOP_SECONDS = 30
_DATABASE = "keycloak"
# Of all dependencies it starts the longest, its database first: where cores are few, the others give way.
_CPU_SHARES = 32768


class KeycloakServer(Server):
    """A running Keycloak 26, as production starts it: optimised, on PostgreSQL, one fixed host name."""

    title = "Keycloak"
    ready_timeout_seconds = 240.0  # the first start makes the schema and the master realm

    @property
    def url(self) -> str:
        """Base URL, which is also what its tokens' issuers begin with."""
        return f"http://{HOST}:{self.running.ports['http']}"

    def missing(self) -> str | None:
        """Ask the readiness endpoint of the management port."""
        return status_missing(f"http://{HOST}:{self.running.ports['management']}/health/ready")

    @contextlib.contextmanager
    def realm(self, **settings: object) -> Iterator[Realm]:
        """Make an empty realm; `settings` are fields of Keycloak's realm representation."""
        name = f"test-{secrets.token_hex(6)}"
        with admin_client(self.url, ADMIN, self.running.details["admin_password"]) as admin:
            keys = realm_keys.components()
            made = {"realm": name, "enabled": True, "sslRequired": "none", "components": keys, **settings}
            admin.post("", json=made)
            try:
                yield Realm(self.url, name, admin)
            finally:
                # A test that ends with its server stopped has nothing to delete.
                with contextlib.suppress(httpx.TransportError):
                    admin.delete(f"/{name}")


def start(engine: Engine) -> Running:
    """Start Keycloak on a database that was baked before; bake it when this is the first time."""
    images = (ensure_image(engine.client, "postgres"), ensure_image(engine.client, "keycloak"))
    with baking.one_at_a_time():
        baked = baking.find(engine.client, images) or _bake(engine, images)
    database = _start_database(engine, baked.image, baked.database_password)
    try:
        container, ports = _start_server(engine, images[1], database, baked)
    except TestkitError:
        engine.remove([database])
        raise
    return Running(KIND, (container, database), ports, {"admin_password": baked.admin_password})


def _bake(engine: Engine, images: tuple[str, str]) -> Baked:
    credentials = baking.new_credentials()
    database = _start_database(engine, images[0], credentials.database_password)
    containers = [database]
    try:
        server, ports = _start_server(engine, images[1], database, credentials)
        containers.append(server)
        KeycloakServer(Running(KIND, (server,), ports), engine.client, shared=True).wait_ready()
        for container in (server, database):  # in this order: PostgreSQL's stop leaves a clean data directory
            engine.client.containers.get(container).stop(timeout=_STOP_SECONDS)
        return baking.commit(engine, images, database, credentials)
    except TestkitError as error:
        raise TestkitError(
            error.code, f"{error.message}\n{engine.log_tail(containers[-1])}", error.hint
        ) from error
    finally:
        engine.remove(containers)


def _start_database(engine: Engine, image: str, password: str) -> str:
    def spec(_: dict[str, int]) -> Spec:
        return Spec(
            kind="keycloak-database",
            image=image,
            ports={postgres.KIND: 5432},
            command=postgres.COMMAND,
            env={"POSTGRES_PASSWORD": password, "POSTGRES_DB": _DATABASE},
            cpu_shares=_CPU_SHARES,
            # No volume: what is baked must be in the container's own layer, and what was baked would else be
            # copied at each start, a thousand files for two seconds.
            read_only=False,
        )

    container, ports = engine.start([postgres.KIND], spec)
    running = Running(postgres.KIND, (container,), ports, {"password": password})
    postgres.PostgresServer(running, engine.client, shared=True).wait_ready()
    return container


def _start_server(
    engine: Engine, image: str, database: str, credentials: Baked
) -> tuple[str, dict[str, int]]:
    address = engine.address(database)

    def spec(ports: dict[str, int]) -> Spec:
        return Spec(
            kind=KIND,
            image=image,
            ports={"http": 8080, "management": 9000},
            command=("start", "--optimized"),
            env={
                "KC_DB_URL": f"jdbc:postgresql://{address}/{_DATABASE}",
                "KC_DB_USERNAME": "postgres",
                "KC_DB_PASSWORD": credentials.database_password,
                "KC_DB_POOL_MAX_SIZE": "10",
                "KC_HTTP_POOL_MAX_THREADS": "20",
                "KC_HOSTNAME": f"http://{HOST}:{ports['http']}",
                # Only read while there is no master realm, which is when a database is baked.
                "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN,
                "KC_BOOTSTRAP_ADMIN_PASSWORD": credentials.admin_password,
            },
            cpu_shares=_CPU_SHARES,
            scratch=("/tmp", "/opt/keycloak/data"),  # noqa: S108 - inside the container
        )

    return engine.start(["http", "management"], spec)
