"""Brings a test's database up to date as the migration Job does."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL

from mambogo_chassis.database.migrate import Migrations, upgrade
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase

MIGRATIONS = Path(__file__).parents[2] / "migrations"


def migrate(database: FreshDatabase) -> None:
    """Apply every revision."""
    url = URL.create(
        "postgresql+psycopg",
        username=database.user,
        password=database.password,
        host=database.host,
        port=database.port,
        database=database.name,
    )
    upgrade(url, Migrations(MIGRATIONS))
