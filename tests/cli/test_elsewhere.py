"""Runs on a cluster that the project did not make: which one is used, and what was left on which."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rehearsal.cli import e2e_assembly, main
from rehearsal.cli.composition import Workshop
from rehearsal.cluster import kubeconfig
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.ledger import Ledger
from rehearsal.core.verdicts import ExitCode

from tests.cli.conftest import Ground
from tests.core.test_catalogue import STAGING


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
    assert {name for name, one in stages.items() if one["ending"] == "NOT RUN"} == {"doctor", "cluster"}


@pytest.mark.parametrize("options", [["--profile", "standard"], ["--timing", "compressed"]])
def test_described_cluster_does_not_become_another_one(
    ground: Ground, staging: Ledger, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main.run(["e2e", "--context", "staging", *options]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "of profile light with production timing" in said
    assert "[contexts.staging] in rehearsal.toml" in said
    assert "rehearsal down" not in said


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


def _left(ground: Ground, context: str) -> Ledger:
    ledger = Ledger(ground.ledger.folder.parent / "contexts" / context / "ledger")
    ledger.enter("planted", f"a change on {context}", stage=context)
    return ledger


def test_cluster_that_is_out_of_reach_keeps_no_other_from_being_undone(
    ground: Ground, staging: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def undo(arguments: Mapping[str, str]) -> None:
        if arguments["stage"] in ("here", "office"):
            raise EnvironmentNotReadyError("API_UNREACHABLE", "no answer", hint="Look.")
        ground.undo(arguments)

    monkeypatch.setattr(e2e_assembly, "_undoers", lambda shop, *, awaits=True: {"planted": undo})
    monkeypatch.setattr(Workshop, "copy_kubeconfig", lambda shop: None)
    ground.ledger.enter("planted", "a change here", stage="here")
    out_of_reach, well = _left(ground, "office"), _left(ground, "staging")

    assert main.run(["undo"]) == ExitCode.ERROR

    captured = capsys.readouterr()
    assert (ground.undone, well.entries(), captured.out) == (["staging"], [], "undone: a change on staging\n")
    assert [out_of_reach.is_empty, ground.ledger.is_empty] == [False, False]
    assert "on kind-mambogo: what an earlier run changed could not be undone: a change here" in captured.err
    assert "on office: what an earlier run changed could not be undone: a change on office" in captured.err


def test_what_is_undone_is_said_although_something_else_stays(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.ledger.enter("planted", "a change", stage="here")
    ground.ledger.enter("nobody's", "another one")

    assert main.run(["undo"]) == ExitCode.ERROR
    assert capsys.readouterr().out == "undone: a change\n"


def test_cluster_that_is_no_longer_described_is_undone_by_the_kubeconfig_of_its_last_run(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    left = _left(ground, "gone")
    left.folder.with_name("kubeconfig").touch()

    assert main.run(["undo"]) == ExitCode.PASS

    assert (ground.undone, left.entries()) == (["gone"], [])
    assert "gone is undone by the kubeconfig of its last run" in capsys.readouterr().err


def test_without_a_kubeconfig_it_is_said_how_to_describe_it_and_the_entry_stays(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    left = _left(ground, "gone")
    ground.ledger.enter("planted", "a change here", stage="here")

    assert main.run(["undo"]) == ExitCode.ERROR

    assert (ground.undone, left.is_empty) == (["here"], False)
    assert "[contexts.gone]" in capsys.readouterr().err


def test_broken_ledger_of_another_cluster_is_told_of_and_ends_no_run(
    ground: Ground, staging: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    staging.folder.mkdir(parents=True)
    (staging.folder / "1.json").write_text("broken", encoding="utf-8")

    assert main.run(["e2e"]) == ExitCode.PASS
    assert "what a run has changed on staging is not undone" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["e2e", "--context", "staging"], ["undo"]])
def test_kubeconfig_is_copied_by_whoever_holds_the_lock_of_runs(
    ground: Ground, staging: Ledger, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    held: list[bool] = []

    def copy(*arguments: object) -> None:
        with (staging.folder.parents[2] / "locks" / "e2e.lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(True)
            else:
                held.append(False)

    monkeypatch.setattr(kubeconfig, "copy", copy)
    staging.enter("planted", "a change there", stage="there")

    assert main.run(command) == ExitCode.PASS
    assert held == [True]


def test_rendering_for_another_cluster_leaves_its_kubeconfig_alone(
    ground: Ground, staging: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    def renderer(shop: Workshop) -> Any:
        seen.append((shop.context, shop.catalogue.ports.kafka))
        return SimpleNamespace(render=lambda profile: [])

    copied: list[object] = []
    monkeypatch.setattr(kubeconfig, "copy", lambda *arguments: copied.append(arguments))
    monkeypatch.setattr(Workshop, "renderer", renderer)

    assert main.run(["render", "--context", "staging"]) == ExitCode.PASS
    assert (seen, copied) == ([("staging", 29092)], [])
