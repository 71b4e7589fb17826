"""Where the stages that judge the product find it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rehearsal.cli import judging_assembly
from rehearsal.cli.judging_assembly import books_of, tap_of
from rehearsal.core import catalogue

ROOT = Path(__file__).parents[2]
ADDRESSES = {
    "light": "127.0.0.1:19092",
    "standard": "127.0.0.1:19092",
    "full": "127.0.0.1:19092,127.0.0.1:19192,127.0.0.1:19292",
}


def _shop(profile: str) -> Any:
    """Return a workshop as far as addresses are concerned."""
    return SimpleNamespace(catalogue=catalogue.load(ROOT), profile=profile, paths=SimpleNamespace(root=ROOT))


@pytest.mark.parametrize(("profile", "addresses"), ADDRESSES.items())
def test_tap_begins_at_any_broker_of_the_cluster(profile: str, addresses: str, tmp_path: Path) -> None:
    assert tap_of(_shop(profile), tmp_path).bootstrap_servers == addresses


@pytest.mark.parametrize(("profile", "addresses"), ADDRESSES.items())
def test_audit_reads_from_any_broker_of_the_cluster(
    profile: str, addresses: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging_assembly, "postgres_of", lambda shop: None)

    assert books_of(_shop(profile)).topics.bootstrap_servers == addresses
