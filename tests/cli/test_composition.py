"""What is looked at passively: no engine is started to find out."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.cli.composition import Workshop
from rehearsal.cluster import record
from rehearsal.core.catalogue import load
from rehearsal.core.paths import Paths
from rehearsal.supply.engine_finding import Endpoint, Silence, Silent

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("recorded", "identity"), [(True, None), (False, "")])
def test_cluster_of_an_engine_that_is_silent_is_unknown_unless_none_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, recorded: bool, identity: str | None
) -> None:
    silent = Silent(Endpoint("unix:///nowhere", "DOCKER_HOST", chosen_by_user=True), Silence.ABSENT, "")
    monkeypatch.setattr("rehearsal.supply.engine.find_engine", lambda home: silent)
    if recorded:
        (tmp_path / record.FILE_NAME).touch()
    shop = Workshop(Paths(ROOT, tmp_path, tmp_path), load(ROOT), lambda event: None, lambda: None)

    assert shop.seen_cluster_identity() == identity
