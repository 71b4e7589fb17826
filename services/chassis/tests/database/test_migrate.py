"""The migration Job on a real PostgreSQL: phases, locks, two Jobs at once, and what is refused."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import psycopg
import pytest
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from sqlalchemy import URL

from mambogo_chassis.database import migrate
from mambogo_chassis.database.linting import lint
from mambogo_chassis.database.migrate import ContractRefusedError, MigrationError, Migrations, upgrade

EXPAND = "CREATE TABLE product (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL)"
ADD = "ALTER TABLE product ADD COLUMN colour text"
DROP = "ALTER TABLE product DROP COLUMN name"


class Scripts:
    """A service's migrations directory, written by a test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._versions = directory / "versions"
        self._versions.mkdir(parents=True)
        self._last: str | None = None

    def add(self, sql: str, *, phase: str | None = "expand", extra: str = "") -> str:
        """Append a revision and return its id."""
        revision = f"r{len(list(self._versions.glob('*.py'))) + 1}"
        text = dedent(
            f'''
            """Revision {revision}"""
            from alembic import op
            revision = "{revision}"
            down_revision = {self._last!r}
            {f'phase = "{phase}"' if phase else ""}
            def upgrade():
                op.execute({sql!r})
            '''
        )
        (self._versions / f"{revision}.py").write_text(text + extra)
        self._last = revision
        return revision

    def read(self) -> Migrations:
        """As the Job reads them."""
        return Migrations(self.directory)


@pytest.fixture
def scripts(tmp_path: Path) -> Scripts:
    return Scripts(tmp_path / "migrations")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "_LOCK_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(migrate, "_PAUSE_SECONDS", 0.05)


def url_of(database: FreshDatabase) -> URL:
    return URL.create(
        "postgresql+psycopg",
        username=database.user,
        password=database.password,
        host=database.host,
        port=database.port,
        database=database.name,
    )


def columns(database: FreshDatabase) -> set[str]:
    with psycopg.connect(database.dsn) as connection:
        query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'product'"
        return {row[0] for row in connection.execute(query)}


def test_all_revisions_are_applied_in_order(postgres_database: FreshDatabase, scripts: Scripts) -> None:
    scripts.add(EXPAND)
    scripts.add(ADD)
    applied = upgrade(url_of(postgres_database), scripts.read())
    assert [revision.id for revision in applied] == ["r1", "r2"]
    assert columns(postgres_database) == {"id", "name", "colour"}


def test_applying_again_does_nothing(postgres_database: FreshDatabase, scripts: Scripts) -> None:
    scripts.add(EXPAND)
    upgrade(url_of(postgres_database), scripts.read())
    assert upgrade(url_of(postgres_database), scripts.read()) == []


def test_a_contract_is_refused_and_what_came_before_is_applied(
    postgres_database: FreshDatabase, scripts: Scripts
) -> None:
    scripts.add(EXPAND)
    scripts.add(DROP, phase="contract")
    with pytest.raises(ContractRefusedError):
        upgrade(url_of(postgres_database), scripts.read())
    assert columns(postgres_database) == {"id", "name"}


def test_a_contract_is_applied_when_asked_for(postgres_database: FreshDatabase, scripts: Scripts) -> None:
    scripts.add(EXPAND)
    scripts.add(DROP, phase="contract")
    upgrade(url_of(postgres_database), scripts.read(), allow_contract=True)
    assert columns(postgres_database) == {"id"}


def test_a_failed_revision_leaves_nothing_of_itself(
    postgres_database: FreshDatabase, scripts: Scripts
) -> None:
    scripts.add(EXPAND)
    scripts.add(f"{ADD}; SELECT 1 / 0")
    with pytest.raises(MigrationError, match="division by zero"):
        upgrade(url_of(postgres_database), scripts.read())
    assert columns(postgres_database) == {"id", "name"}


def test_a_revision_gives_way_to_a_lock_and_gets_through_after_it(
    postgres_database: FreshDatabase, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts.add(EXPAND)
    upgrade(url_of(postgres_database), scripts.read())
    scripts.add(ADD)
    gave_way = threading.Event()
    monkeypatch.setattr(migrate.logger, "warning", lambda *_: gave_way.set())
    with (
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(postgres_database.dsn) as reader,
    ):
        reader.execute("SELECT * FROM product")
        job = pool.submit(upgrade, url_of(postgres_database), scripts.read())
        assert gave_way.wait(30)
        with psycopg.connect(postgres_database.dsn) as other:
            other.execute("SELECT * FROM product")
        reader.rollback()
        assert [revision.id for revision in job.result(30)] == ["r2"]


def test_two_jobs_take_turns(postgres_database: FreshDatabase, scripts: Scripts) -> None:
    scripts.add(EXPAND)
    scripts.add(ADD)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(upgrade, url_of(postgres_database), scripts.read()) for _ in range(4)]
        applied = [len(job.result(60)) for job in jobs]
    assert sorted(applied) == [0, 0, 0, 2]


def test_a_job_gives_up_after_its_deadline(
    postgres_database: FreshDatabase, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_DEADLINE_SECONDS", 0.5)
    scripts.add(EXPAND)
    absent = url_of(postgres_database).set(port=1)
    with pytest.raises(MigrationError, match="no way through"):
        upgrade(absent, scripts.read())


def test_a_database_that_is_ahead_is_refused(postgres_database: FreshDatabase, scripts: Scripts) -> None:
    scripts.add(EXPAND)
    upgrade(url_of(postgres_database), scripts.read())
    with psycopg.connect(postgres_database.dsn) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'r9'")
    with pytest.raises(MigrationError, match="does not know"):
        upgrade(url_of(postgres_database), scripts.read())


@pytest.mark.parametrize("phase", [None, "later"])
def test_a_revision_without_a_phase_is_refused(scripts: Scripts, phase: str | None) -> None:
    scripts.add(EXPAND, phase=phase)
    with pytest.raises(MigrationError, match="says no phase"):
        scripts.read().revisions()


def test_a_revision_with_a_downgrade_is_refused(scripts: Scripts) -> None:
    scripts.add(EXPAND, extra="def downgrade():\n    pass\n")
    with pytest.raises(MigrationError, match="has a downgrade"):
        scripts.read().revisions()


def test_the_command_applies_and_plans(
    postgres_database: FreshDatabase,
    scripts: Scripts,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scripts.add(EXPAND)
    for name in ("host", "port", "user", "password", "name"):
        monkeypatch.setenv(f"DB_{name.upper()}", str(getattr(postgres_database, name)))
    assert migrate.main(["--scripts", str(scripts.directory), "--plan"]) == 0
    assert capsys.readouterr().out == "r1 expand Revision r1\n"
    assert migrate.main(["--scripts", str(scripts.directory)]) == 0
    assert capsys.readouterr().out == "1 revisions applied\n"


def test_the_command_names_missing_settings(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DB_HOST", raising=False)
    assert migrate.main(["--scripts", str(scripts.directory)]) == migrate.EXIT_FAILED
    assert "DB_HOST" in capsys.readouterr().err


CHASSIS = dedent(
    '''
    """The chassis' tables"""
    from alembic import op
    from mambogo_chassis.database import schema
    revision = "chassis"
    down_revision = None
    phase = "expand"
    def upgrade():
        for statement in schema.statements(*schema.ALL):
            op.execute(statement)
    '''
)


@pytest.fixture
def chassis(tmp_path: Path) -> Migrations:
    versions = tmp_path / "chassis" / "versions"
    versions.mkdir(parents=True)
    (versions / "chassis.py").write_text(CHASSIS)
    return Migrations(tmp_path / "chassis")


def test_the_chassis_own_tables_are_made_by_a_migration(
    postgres_database: FreshDatabase, chassis: Migrations
) -> None:
    upgrade(url_of(postgres_database), chassis)
    with psycopg.connect(postgres_database.dsn) as connection:
        tables = {
            row[0]
            for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        }
    assert tables == {"outbox", "inbox", "idempotency", "alembic_version"}


def test_squawk_finds_nothing_in_the_chassis_own_tables(chassis: Migrations) -> None:
    assert lint(chassis) == []


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        (DROP, "ban-drop-column"),
        ("DROP TABLE product", "ban-drop-table"),
        ("ALTER TABLE product RENAME COLUMN name TO title", "renaming-column"),
        ("ALTER TABLE product ALTER COLUMN name TYPE int USING 1", "changing-column-type"),
        ("CREATE INDEX product_name ON product (name)", "require-concurrent-index-creation"),
        ("ALTER TABLE product ADD COLUMN size int NOT NULL", "adding-required-field"),
        ("ALTER TABLE product ADD CONSTRAINT c CHECK (name <> '')", "constraint-missing-not-valid"),
    ],
)
def test_squawk_finds_what_an_expand_must_not_say(scripts: Scripts, sql: str, rule: str) -> None:
    scripts.add(EXPAND)
    revision = scripts.add(sql)
    assert (revision, rule) in {(finding.revision, finding.rule) for finding in lint(scripts.read())}


def test_a_contract_may_remove(scripts: Scripts) -> None:
    scripts.add(EXPAND)
    scripts.add(DROP, phase="contract")
    assert lint(scripts.read()) == []


def test_a_contract_may_not_lock_for_long(scripts: Scripts) -> None:
    scripts.add(EXPAND)
    scripts.add("ALTER TABLE product ALTER COLUMN name TYPE int USING 1", phase="contract")
    assert "changing-column-type" in {finding.rule for finding in lint(scripts.read())}
