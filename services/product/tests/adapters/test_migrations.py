"""The migrations keep the rules for running services."""

from __future__ import annotations

from mambogo_chassis.database.linting import lint
from mambogo_chassis.database.migrate import Migrations

from catalogue_support import MIGRATIONS


def test_no_revision_holds_up_a_running_service() -> None:
    assert lint(Migrations(MIGRATIONS)) == []
