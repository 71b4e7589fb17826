"""The chassis' own tables, for the migrations of the services that use them.

A file is never edited once released: a change is a new file (`outbox_v2.sql`) that a new revision of each
service executes, so that every database can say what it has. When to run them is the migration Job's.
"""

from __future__ import annotations

from importlib import resources
from typing import Final, Literal

Table = Literal["outbox_v1", "inbox_v1", "idempotency_v1"]
ALL: Final[tuple[Table, ...]] = ("outbox_v1", "inbox_v1", "idempotency_v1")


def statements(*tables: Table) -> tuple[str, ...]:
    """The SQL statements that make `tables`, one by one, in order."""
    return tuple(statement for table in tables for statement in _split(_read(table)))


def _read(table: Table) -> str:
    return (resources.files("mambogo_chassis.database") / "sql" / f"{table}.sql").read_text("utf-8")


def _split(text: str) -> list[str]:
    # These files hold no semicolon but the ones that end their statements, and comments only on own lines.
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]
