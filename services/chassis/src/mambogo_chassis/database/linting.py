"""What a migration may say: squawk's rules on the SQL of each revision, by phase.

For tests: squawk is no dependency of a service. An expand revision must leave the running version working and
must not hold heavy locks; a contract revision may remove, and nothing else of that.

What squawk finds is squawk's; which findings count in which phase is decided here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mambogo_chassis.database.migrate import MigrationError, Migrations, Phase

_POSTGRESQL: Final = "15.0"
_TIMEOUT_SECONDS: Final = 30.0
# What removing is made of.
_CONTRACT: Final = frozenset(
    {"ban-drop-column", "ban-drop-table", "ban-drop-not-null", "renaming-column", "renaming-table"}
)
# A smallint is chosen on purpose (unlike an int, the habit), and a transaction makes statements robust.
_NOT_OURS: Final = frozenset({"prefer-bigint-over-smallint", "prefer-robust-stmts", "transaction-nesting"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement that a migration must not contain."""

    revision: str
    rule: str
    message: str


def lint(migrations: Migrations) -> list[Finding]:
    """Findings in all revisions; raises MigrationError when squawk is not there or could not look."""
    return [
        finding
        for revision in migrations.revisions()
        for finding in lint_sql(migrations.sql(revision), revision=revision.id, phase=revision.phase)
    ]


def lint_sql(sql: str, *, revision: str, phase: Phase) -> list[Finding]:
    """Findings in one revision's SQL."""
    passed_over = _NOT_OURS | (_CONTRACT if phase == "contract" else frozenset())
    return [
        Finding(revision, problem["rule_name"], problem["message"])
        for problem in _squawk(_without_bookkeeping(sql))
        if problem["rule_name"] not in passed_over
    ]


def _without_bookkeeping(sql: str) -> str:
    """Without alembic's version table, which is made once and is not ours to change."""
    statements = [statement for statement in sql.split(";") if "alembic_version" not in statement]
    return ";".join(statements) + (";" if statements else "")


def _squawk(sql: str) -> list[dict[str, str]]:
    command = [_executable(), "--reporter", "json", "--pg-version", _POSTGRESQL, "--assume-in-transaction"]
    ended = subprocess.run(
        command, input=sql, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
    )
    try:
        problems: list[dict[str, str]] = json.loads(ended.stdout)
    except json.JSONDecodeError as error:
        raise MigrationError(
            f"squawk could not look: {ended.stderr.strip()}", hint="run it by hand"
        ) from error
    return problems


def _executable() -> str:
    beside = Path(sys.executable).parent / "squawk"
    found = str(beside) if beside.exists() else shutil.which("squawk")
    if found is None:
        raise MigrationError("squawk is not installed", hint="it is squawk-cli in the dependency group test")
    return found
