"""The tables that Keycloak makes at its first start, as SQL that makes them in half a second.

Keycloak runs 209 changesets one after the other, which takes 8 to 13 s of a cluster's start. The log of
changesets is in the dump, so that a newer Keycloak goes on from there by itself.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from mambogo_testkit.engine import connect

FILE = Path(__file__).parents[3] / "k8s/overlays/local/managed/keycloak-schema.sql"

_HEAD = """\
-- The tables of a Keycloak that has never run, for PostgreSQL's first start: Keycloak makes them slowly.
-- services/testkit/tests/test_keycloak.py compares; to make it anew:
-- MAMBOGO_WRITE_KEYCLOAK_SCHEMA=1 nox -s "tests(suite='testkit')" -- tests/test_keycloak.py
\\connect keycloak
SET ROLE keycloak;
"""
_LOGS = ("databasechangelog", "databasechangeloglock")
_DUMP = ("pg_dump", "--username=postgres", "--host=/var/lib/postgresql/run", "--no-owner", "--no-privileges")
# Of a row of databasechangelog, what differs from run to run: when it ran, and which run it was.
_DATE, _DATES = 3, "2000-01-01 00:00:00"
_DEPLOYMENT, _DEPLOYMENTS = 13, "0"


def dump(container: str, database: str) -> str:
    """The statements for an empty database, of one in which a Keycloak runs."""
    tables = _dumped(container, "--schema-only", database)
    logs = _dumped(container, "--data-only", *(f"--table={one}" for one in _LOGS), database)
    return _HEAD + "\n".join([*tables, *(_settled(line) for line in logs)]) + "\n"


def _dumped(container: str, *arguments: str) -> list[str]:
    command = [*_DUMP, *arguments]
    with closing(connect()) as client:
        code, output = client.containers.get(container).exec_run(command)
    assert isinstance(output, bytes)
    assert code == 0, output.decode()
    # `\\restrict` has a password of its own in each dump, against a server that lies; this one is ours.
    passed_over = ("--", "\\restrict", "\\unrestrict")
    return [line for line in output.decode().splitlines() if line and not line.startswith(passed_over)]


def _settled(line: str) -> str:
    fields = line.split("\t")
    if len(fields) != _DEPLOYMENT + 1:
        return line
    fields[_DATE], fields[_DEPLOYMENT] = _DATES, _DEPLOYMENTS
    return "\t".join(fields)
