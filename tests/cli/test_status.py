"""`rehearsal status`: what is left, also on other clusters."""

from __future__ import annotations

import json

import pytest
from rehearsal.cli import main
from rehearsal.cli.composition import Workshop
from rehearsal.cluster import status
from rehearsal.cluster.status import ClusterStatus
from rehearsal.core.ledger import Ledger
from rehearsal.core.verdicts import ExitCode

from tests.cli.conftest import Ground


def test_what_is_left_on_another_cluster_is_said(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Workshop, "docker", None)
    monkeypatch.setattr(status, "look", lambda *arguments: ClusterStatus(None))
    Ledger(ground.ledger.folder.parent / "contexts" / "staging" / "ledger").enter("planted", "a change")

    assert main.run(["status", "--json"]) == ExitCode.ENVIRONMENT
    assert json.loads(capsys.readouterr().out)["left_on"] == ["staging"]
