"""Migrations: run as a Job before the rollout, never by a service at its start.

    python -m mambogo_chassis.database.migrate --scripts migrations [--allow-contract] [--plan | --sql]

`migrations/versions/` holds alembic revisions; nothing else is needed there. Each says its phase:

- `phase = "expand"`: the version that runs now keeps working while and after it is applied;
- `phase = "contract"`: removes what only older versions need; refused unless asked for.

There are no downgrades: a bad release is rolled back by deploying the old code, which an expand leaves
working. Each revision is one transaction with a short `lock_timeout`, tried again when it had to give way,
because a waiting ALTER makes every query behind it wait as well. What a revision may say is `linting`'s.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script, ScriptDirectory
from alembic.util.exc import CommandError
from psycopg import errors as pg
from sqlalchemy import URL, Connection, create_engine, exc, text

from mambogo_chassis.errors import ChassisError

Phase = Literal["expand", "contract"]

# How long a revision may make others wait behind it, and the pause in which they get through.
_LOCK_TIMEOUT_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 1.0
# A statement that takes longer belongs into a backfill in batches, not into a migration.
_STATEMENT_TIMEOUT_SECONDS: Final = 60.0
# Together with its pauses, about as long as a Job may take before somebody looks.
_DEADLINE_SECONDS: Final = 300.0
_CONNECT_TIMEOUT_SECONDS: Final = 5
# Any number, the same in every Job: two Jobs take turns ("migr").
_JOB_LOCK: Final = 0x6D696772
# Passing states: locks, deadlocks, and a server that is starting or stopping.
_PASSING: Final = (pg.LockNotAvailable, pg.DeadlockDetected, pg.CannotConnectNow, pg.AdminShutdown)
EXIT_FAILED: Final = 1

logger = logging.getLogger(__name__)


class MigrationError(ChassisError):
    """The schema could not be brought up to date; what was applied before stays, and is consistent."""

    code = "migration"


class ContractRefusedError(MigrationError):
    """A contract revision is next, and nobody said that no old version runs any more."""

    code = "migration-contract-refused"


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of a service's schema."""

    id: str
    phase: Phase
    title: str


class Migrations:
    """The revisions in a directory, checked as they are read."""

    def __init__(self, directory: Path) -> None:
        config = Config()
        config.set_main_option("script_location", str(directory))
        # Paths may hold what configparser would take for an interpolation.
        config.set_main_option("path_separator", "os")
        self._config = config
        self._scripts = ScriptDirectory(str(directory))

    def revisions(self) -> list[Revision]:
        """All of them, the oldest first; raises MigrationError for one that breaks the rules."""
        try:
            return [_checked(script) for script in reversed(list(self._scripts.walk_revisions()))]
        except CommandError as error:
            raise MigrationError(
                f"the revisions do not form one line: {error}", hint="merge the heads"
            ) from error

    def pending(self, connection: Connection) -> list[Revision]:
        """Those that the database does not have; raises MigrationError for one that it has and we do not."""
        current = MigrationContext.configure(connection).get_current_revision()
        revisions = self.revisions()
        if current is None:
            return revisions
        ids = [revision.id for revision in revisions]
        if current not in ids:
            raise MigrationError(
                f"the database is at {current}, which this image does not know", hint="deploy a newer image"
            )
        return revisions[ids.index(current) + 1 :]

    def apply(self, connection: Connection, revision: Revision) -> None:
        """Apply one revision in its own transaction."""
        self._run(
            revision, lambda context: context.configure(connection=connection, transaction_per_migration=True)
        )

    def sql(self, revision: Revision) -> str:
        """The SQL of one revision, bounds included, as `apply` sends it."""
        buffer = io.StringIO()
        previous = self._scripts.get_revision(revision.id).down_revision
        self._run(
            revision,
            lambda context: context.configure(
                dialect_name="postgresql",
                dialect_opts={"paramstyle": "named"},
                as_sql=True,
                output_buffer=buffer,
                transactional_ddl=False,
                starting_rev=cast("str | None", previous),
            ),
            as_sql=True,
        )
        return "".join(f"SET {name} = '{value}';\n" for name, value in _bounds().items()) + buffer.getvalue()

    def _run(
        self, revision: Revision, configure: Callable[[EnvironmentContext], None], *, as_sql: bool = False
    ) -> None:
        def steps(current: str | tuple[str, ...] | None, _context: MigrationContext) -> list[RevisionStep]:
            return self._scripts._upgrade_revs(revision.id, cast("str", current))

        with EnvironmentContext(self._config, self._scripts, fn=steps, as_sql=as_sql) as context:
            configure(context)
            context.run_migrations()


def upgrade(url: URL, migrations: Migrations, *, allow_contract: bool = False) -> list[Revision]:
    """Bring the database up to date; the revisions applied. Waits for the database, and for other Jobs.

    Raises ContractRefusedError before the first contract revision, MigrationError for everything else.
    """
    deadline = time.monotonic() + _DEADLINE_SECONDS
    migrations.revisions()
    applied: list[Revision] = []
    while True:
        try:
            _upgrade_rest(url, migrations, applied, allow_contract=allow_contract)
        except (exc.OperationalError, exc.DBAPIError) as error:
            if not _is_passing(error):
                raise MigrationError(
                    f"a revision failed: {error.orig}", hint="nothing of it was applied; correct it"
                ) from error
            if time.monotonic() > deadline:
                raise MigrationError(
                    f"no way through within {_DEADLINE_SECONDS:.0f} s: {error.orig}",
                    hint="look for long transactions in pg_stat_activity",
                ) from error
            logger.warning("trying again: %s", error.orig)
            time.sleep(_PAUSE_SECONDS)
        else:
            return applied


def _upgrade_rest(url: URL, migrations: Migrations, applied: list[Revision], *, allow_contract: bool) -> None:
    engine = create_engine(
        url, connect_args={"connect_timeout": _CONNECT_TIMEOUT_SECONDS, "options": _options()}
    )
    try:
        with engine.connect() as connection:
            # For the session, and in autocommit: held over the transactions of all revisions.
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _JOB_LOCK})
            with engine.connect() as worker:
                pending = migrations.pending(worker)
                worker.rollback()
                for revision in pending:
                    _refuse_contract(revision, allow_contract)
                    migrations.apply(worker, revision)
                    worker.commit()
                    applied.append(revision)
                    logger.info("applied %s (%s): %s", revision.id, revision.phase, revision.title)
    finally:
        engine.dispose()


def _refuse_contract(revision: Revision, allow_contract: bool) -> None:
    if revision.phase == "contract" and not allow_contract:
        raise ContractRefusedError(
            f"{revision.id} ({revision.title}) removes what older versions use",
            hint="when none of them runs any more, run again with --allow-contract",
        )


def _checked(script: Script) -> Revision:
    phase = getattr(script.module, "phase", None)
    if phase not in ("expand", "contract"):
        raise MigrationError(
            f"{script.revision} says no phase", hint='write phase = "expand" or phase = "contract" into it'
        )
    if hasattr(script.module, "downgrade"):
        raise MigrationError(
            f"{script.revision} has a downgrade", hint="there are none: an expand leaves the old code working"
        )
    return Revision(script.revision, cast(Phase, phase), script.doc)


def _is_passing(error: exc.DBAPIError) -> bool:
    # Without a SQLSTATE the server never answered: it is not there, or it went away.
    state = getattr(error.orig, "sqlstate", None)
    return isinstance(error.orig, _PASSING) or (isinstance(error, exc.OperationalError) and state is None)


def _bounds() -> dict[str, str]:
    return {
        "lock_timeout": f"{int(_LOCK_TIMEOUT_SECONDS * 1000)}ms",
        "statement_timeout": f"{int(_STATEMENT_TIMEOUT_SECONDS * 1000)}ms",
    }


def _options() -> str:
    return " ".join(f"-c {name}={value}" for name, value in _bounds().items())


def url_from_environment(environ: dict[str, str]) -> URL:
    """The database that `DB_HOST` and its like name; raises MigrationError for what is missing."""
    missing = [name for name in ("DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD") if not environ.get(name)]
    if missing:
        raise MigrationError(
            f"{', '.join(missing)} not set", hint="the Job needs the same settings as the service"
        )
    return URL.create(
        "postgresql+psycopg",
        username=environ["DB_USER"],
        password=environ["DB_PASSWORD"],
        host=environ["DB_HOST"],
        port=int(environ.get("DB_PORT", "5432")),
        database=environ["DB_NAME"],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The Job; its exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    migrations = Migrations(options.scripts)
    try:
        if options.sql:
            sys.stdout.write("\n".join(migrations.sql(revision) for revision in migrations.revisions()))
            return 0
        url = url_from_environment(dict(os.environ))
        if options.plan:
            _print_plan(url, migrations)
            return 0
        applied = upgrade(url, migrations, allow_contract=options.allow_contract)
    except MigrationError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    sys.stdout.write(f"{len(applied)} revisions applied\n")
    return 0


def _print_plan(url: URL, migrations: Migrations) -> None:
    engine = create_engine(url, connect_args={"connect_timeout": _CONNECT_TIMEOUT_SECONDS})
    try:
        with engine.connect() as connection:
            for revision in migrations.pending(connection):
                sys.stdout.write(f"{revision.id} {revision.phase} {revision.title}\n")
    except exc.OperationalError as error:
        raise MigrationError(f"the database does not answer: {error.orig}", hint="check DB_HOST") from error
    finally:
        engine.dispose()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="migrate", description="Bring a service's database up to date.")
    parser.add_argument("--scripts", type=Path, default=Path("migrations"), help="holds versions/")
    parser.add_argument("--allow-contract", action="store_true", help="also remove what older versions use")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--plan", action="store_true", help="print what is pending and change nothing")
    what.add_argument("--sql", action="store_true", help="print the SQL of every revision")
    return parser


if __name__ == "__main__":
    sys.exit(main())
