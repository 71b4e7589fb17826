"""PostgreSQL: one server per run, a database of its own per test.

The server does not wait for the disk (fsync off): a commit survives the death of the server's
process, as the tests need it, but not a power failure. Nothing else differs from production.
"""

from __future__ import annotations

import contextlib
import secrets
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from mambogo_testkit.engine import Engine, Spec
from mambogo_testkit.images import ensure_image
from mambogo_testkit.running import HOST, Running, Server

KIND = "postgres"
_USER = "postgres"
_CONNECT_TIMEOUT_SECONDS = 5
# Several xdist workers with several pools each share the server; production's figure is its own.
COMMAND = ("postgres", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=400")
DATA = "/var/lib/postgresql"


@dataclass(frozen=True, slots=True)
class Database:
    """A database that belongs to one test, with its owner's credentials."""

    name: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)

    @property
    def dsn(self) -> str:
        """Connection URL of libpq and psycopg."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.name}"


class PostgresServer(Server):
    """A running PostgreSQL 15."""

    title = "PostgreSQL"
    ready_timeout_seconds = 90.0  # five on a loaded machine

    def maintenance(self) -> Database:
        """Return the database `postgres` with the superuser's credentials."""
        return Database("postgres", HOST, self.running.ports[KIND], _USER, self.running.details["password"])

    def missing(self) -> str | None:
        """Connect, which the server refuses while it starts."""
        try:
            with self._connect():
                return None
        except psycopg.OperationalError as error:
            return str(error)

    @contextlib.contextmanager
    def database(self, template: str | None = None) -> Iterator[Database]:
        """Make a database with an owner of its own, empty or a copy of `template`; drop both afterwards.

        The owner is no superuser, so that a test meets the rights that production gives.
        """
        name = f"test_{secrets.token_hex(6)}"
        password = secrets.token_urlsafe(18)
        with self._connect() as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(name), sql.Literal(password)
                )
            )
            connection.execute(
                # Files are copied instead of going through the log page by page: cheaper without fsync, and
                # the checkpoint at the drop has less to write.
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(name), sql.Identifier(template or "template0")
                )
            )
            if template is not None:
                self._hand_over(name, template)
        try:
            yield Database(name, HOST, self.running.ports[KIND], name, password)
        finally:
            self._drop(name)

    def template(self, key: str, prepare: Callable[[Database], None]) -> str:
        """Make a template database once per run by `prepare` (migrations), and return its name.

        Safe to call from several processes at once: one prepares, the others wait for it.
        """
        name = f"template_{zlib.crc32(key.encode()):08x}"
        with self._connect() as connection:
            connection.execute("SELECT pg_advisory_lock(hashtext(%s))", (name,))
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                return name
            password = secrets.token_urlsafe(18)
            making = f"{name}_making"  # renamed when it is complete: a failed one is never used
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(making))
            )
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(name), sql.Literal(password)
                )
            )
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(making), sql.Identifier(name))
            )
            prepare(Database(making, HOST, self.running.ports[KIND], name, password))
            # Else the first copy's owner would be handed the template itself, a shared object, too.
            connection.execute(
                sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(making), sql.Identifier(_USER))
            )
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(making), sql.Identifier(name))
            )
        return name

    def _hand_over(self, name: str, template: str) -> None:
        with self._connect(name) as connection:
            connection.execute(
                sql.SQL("REASSIGN OWNED BY {} TO {}").format(sql.Identifier(template), sql.Identifier(name))
            )

    def _drop(self, name: str) -> None:
        # A test that ends with its server stopped has nothing to drop: the container goes as a whole.
        with contextlib.suppress(psycopg.OperationalError), self._connect() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))

    def _connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            host=HOST,
            port=self.running.ports[KIND],
            user=_USER,
            password=self.running.details["password"],
            dbname=database,
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        )


def start(engine: Engine) -> Running:
    """Start a server with an empty cluster, which it keeps over stop and start."""
    return _start(engine, data=(DATA,))


def start_in_memory(engine: Engine) -> Running:
    """Start one that loses everything when it stops: a fresh database is 300 files, dear to make on disks."""
    return _start(engine, scratch=(DATA,))


def _start(engine: Engine, *, data: tuple[str, ...] = (), scratch: tuple[str, ...] = ()) -> Running:
    password = secrets.token_urlsafe(18)
    image = ensure_image(engine.client, "postgres")

    def spec(_: dict[str, int]) -> Spec:
        return Spec(
            kind=KIND,
            image=image,
            ports={KIND: 5432},
            command=COMMAND,
            env={"POSTGRES_PASSWORD": password},
            data=data,
            scratch=scratch,
        )

    container, ports = engine.start([KIND], spec)
    return Running(KIND, (container,), ports, {"password": password})
