"""`rehearsal soak` with planted stages: how many runs, what counts, where it goes on."""

from __future__ import annotations

import json

import pytest
from rehearsal.cli import main
from rehearsal.core.processes import run
from rehearsal.core.verdicts import ExitCode

from tests.cli.conftest import Ground


@pytest.fixture
def committed(ground: Ground) -> Ground:
    """Return a ground whose checkout is a commit."""
    (ground.checkout / ".gitignore").write_text("/runs/\n", encoding="utf-8")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "All")):
        who = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")
        run(["git", "-C", str(ground.checkout), *who, *arguments], timeout_seconds=60)
    return ground


def _lines(ground: Ground) -> list[dict[str, object]]:
    log = ground.checkout / "runs" / "soak.ndjson"
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def test_as_many_runs_as_were_asked_for(committed: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["soak", "-n", "2"]) == ExitCode.PASS

    assert [line["ending"] for line in _lines(committed)] == ["PASS", "PASS"]
    assert "2 clean runs, 0 with a false finding" in capsys.readouterr().out


def test_it_goes_on_where_it_was(committed: Ground) -> None:
    main.run(["soak", "-n", "1"])
    main.run(["soak", "-n", "2"])

    assert len(_lines(committed)) == 2


def test_each_run_draws_anew(committed: Ground) -> None:
    main.run(["soak", "-n", "2"])

    assert len({line["seed"] for line in _lines(committed)}) == 2


def test_finding_in_a_clean_run_is_a_false_one(committed: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    committed.deeds["load"] = "FAIL"

    assert main.run(["soak", "-n", "1", "--json"]) == ExitCode.FAIL
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["false"] == 1
    assert _lines(committed)[0]["findings"]


def test_machine_that_is_not_ready_ends_it_after_three_runs(committed: Ground) -> None:
    committed.deeds["cluster"] = "ENVIRONMENT"

    assert main.run(["soak", "-n", "5"]) == ExitCode.ENVIRONMENT
    assert len(_lines(committed)) == 3


def test_tree_with_changes_is_refused(committed: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    (committed.checkout / "new.txt").write_text("x", encoding="utf-8")

    assert main.run(["soak"]) == ExitCode.USAGE
    assert "not committed" in capsys.readouterr().err


def test_outside_of_git_is_refused(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["soak"]) == ExitCode.USAGE
