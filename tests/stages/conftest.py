"""A room for a stage of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.core.events import Event
from rehearsal.stages.room import Room


@pytest.fixture
def events() -> list[Event]:
    """Return the list into which the room's events go."""
    return []


@pytest.fixture
def room(tmp_path: Path, events: list[Event]) -> Room:
    """Return a room whose events go to `events`."""
    return Room("stage", tmp_path / "run", 7, events.append)
