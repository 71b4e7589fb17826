"""Runs on a cluster that the project did not make: which one is used, and what was left on which."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rehearsal.cli import e2e_assembly, judging_assembly, main
from rehearsal.cli.composition import Workshop
from rehearsal.cluster import kubeconfig
from rehearsal.core import catalogue
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.ledger import Ledger
from rehearsal.core.paths import Paths
from rehearsal.core.verdicts import ExitCode
from rehearsal.shop.answers import Answer, Kind

from tests.cli.conftest import Ground
from tests.core.test_catalogue import STAGING

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def staging(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Describe a cluster `staging`; return the ledger of what is changed on it."""
    with (ground.checkout / "rehearsal.toml").open("a", encoding="utf-8") as file:
        file.write(STAGING)
    monkeypatch.setattr(Workshop, "supplies", SimpleNamespace(tool=lambda name: Path(name)))
    monkeypatch.setattr(kubeconfig, "copy", lambda *arguments: None)
    return Ledger(ground.ledger.folder.parent / "contexts" / "staging" / "ledger")


def test_run_on_a_cluster_that_nobody_described_is_a_usage_error(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["e2e", "--context", "production"]) == ExitCode.USAGE
    assert "context 'production' may not be used" in capsys.readouterr().err
    assert ground.reports() == []


def test_run_on_a_described_cluster_is_of_its_profile_and_makes_none(ground: Ground, staging: Ledger) -> None:
    assert main.run(["e2e", "--context", "staging"]) == ExitCode.PASS

    (report,) = ground.reports()
    run, stages = report["run"], {one["name"]: one for one in report["stages"]}
    assert (run["context"], run["profile"], run["timing"]) == ("staging", "light", "production")
    assert {name for name, one in stages.items() if one["ending"] == "NOT RUN"} == {
        "doctor",
        "supply",
        "cluster",
    }


@pytest.mark.parametrize("options", [["--profile", "standard"], ["--timing", "compressed"]])
def test_described_cluster_does_not_become_another_one(
    ground: Ground, staging: Ledger, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main.run(["e2e", "--context", "staging", *options]) == ExitCode.USAGE
    assert "of profile light with production timing" in capsys.readouterr().err


def test_what_was_left_on_the_cluster_is_undone_first_and_elsewhere_is_told_of(
    ground: Ground, staging: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.ledger.enter("planted", "a change here", stage="here")
    staging.enter("planted", "a change there", stage="there")

    assert main.run(["e2e", "--context", "staging"]) == ExitCode.PASS

    assert (ground.undone, staging.entries()) == (["there"], [])
    assert [one.what for one in ground.ledger.entries()] == ["a change here"]
    assert "what a run has changed on kind-mambogo is not undone" in capsys.readouterr().err


def test_run_at_home_says_what_was_left_elsewhere_and_goes_on(
    ground: Ground, staging: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    staging.enter("planted", "a change there", stage="there")

    assert main.run(["e2e"]) == ExitCode.PASS

    assert [one.what for one in staging.entries()] == ["a change there"]
    assert "what a run has changed on staging is not undone" in capsys.readouterr().err


def test_changes_of_a_run_elsewhere_stand_in_the_ledger_of_that_cluster(
    ground: Ground, staging: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    plain = ground.stages

    def stages(shop: Workshop, options: Any, ledger: Ledger, tap: Any) -> Any:
        seen.append(ledger.folder)
        return plain(shop, options, ledger, tap)

    monkeypatch.setattr(e2e_assembly, "_stages", stages)
    main.run(["e2e", "--context", "staging"])

    assert seen == [staging.folder]


def test_undo_undoes_what_was_left_on_every_cluster(
    ground: Ground, staging: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.ledger.enter("planted", "a change here", stage="here")
    staging.enter("planted", "a change there", stage="there")

    assert main.run(["undo"]) == ExitCode.PASS

    assert sorted(ground.undone) == ["here", "there"]
    assert staging.entries() == ground.ledger.entries() == []
    assert "undone: a change there" in capsys.readouterr().out


def test_undo_on_a_cluster_that_is_no_longer_described_says_so_and_keeps_the_entry(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    left = Ledger(ground.ledger.folder.parent / "contexts" / "gone" / "ledger")
    left.enter("planted", "a change there", stage="there")
    ground.ledger.enter("planted", "a change here", stage="here")

    assert main.run(["undo"]) == ExitCode.USAGE

    assert ground.undone == ["here"]
    assert [one.what for one in left.entries()] == ["a change there"]
    assert "[contexts.gone]" in capsys.readouterr().err


class Shop:
    """A shop that makes products."""

    async def create_product(self, product: Any) -> Answer:
        return Answer(Kind.OK, 201, {"id": "p-1"})

    async def set_stock(self, product_id: str, units: int) -> Answer:
        return Answer(Kind.OK, 200, {})

    async def __aenter__(self) -> Shop:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass


@pytest.mark.parametrize("there", [True, False])
def test_ports_that_lead_to_another_shop_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, there: bool
) -> None:
    asked: list[str] = []

    def get(path: str) -> dict[str, str] | None:
        asked.append(path)
        return {"id": "p-1"} if there else None

    shop = Workshop(Paths(ROOT, tmp_path, tmp_path, "staging"), catalogue.load(ROOT), print, print)
    monkeypatch.setattr(judging_assembly, "open_shop", lambda shop: Shop())
    monkeypatch.setattr(Workshop, "api", lambda shop: SimpleNamespace(get=get))

    if there:
        asyncio.run(judging_assembly.require_same_shop(shop))
    else:
        with pytest.raises(EnvironmentNotReadyError, match="another shop than the one of context staging"):
            asyncio.run(judging_assembly.require_same_shop(shop))
    assert [path.endswith("product-service:http/proxy/api/products/p-1") for path in asked] == [True]


def test_another_cluster_is_told_by_what_is_as_old_as_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = {"/api/v1/namespaces/kube-system": {"metadata": {"uid": "7"}}}
    monkeypatch.setattr(Workshop, "api", lambda shop: SimpleNamespace(get=found.get))
    shop = Workshop(Paths(ROOT, tmp_path, tmp_path, "staging"), catalogue.load(ROOT), print, print)

    assert shop.cluster_identity() == "7"
