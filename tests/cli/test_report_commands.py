"""`rehearsal report` and `explain` as commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from rehearsal.cli import main
from rehearsal.cli.composition import workshop
from rehearsal.cli.status_commands import _last_run
from rehearsal.core.journal import Journal
from rehearsal.core.verdicts import ExitCode

from tests.report.conftest import FACTS, write_events

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout with one run that failed and was not reported yet."""
    shutil.copy(CHECKOUT / "rehearsal.toml", tmp_path)
    write_events(tmp_path / "runs" / FACTS.id)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_newest_run_is_rendered_again(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["report"]) == ExitCode.PASS
    assert "FAIL: 2 of 4 checks do not hold." in capsys.readouterr().out


def test_report_that_was_made_while_its_run_went_on_is_made_again(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = checkout / "runs" / FACTS.id / "events.ndjson"
    whole = events.read_text(encoding="utf-8").splitlines(keepends=True)
    events.write_text("".join(whole[:2]), encoding="utf-8")
    main.run(["report"])
    capsys.readouterr()
    events.write_text("".join(whole[:-1]), encoding="utf-8")  # then it was killed
    main.run(["report", "--json"])

    shown = json.loads(capsys.readouterr().out)
    assert len(shown["checks"]) == 4


@pytest.fixture
def unfinished(checkout: Path) -> Path:
    """Return the events of a run that has no end."""
    events = checkout / "runs" / FACTS.id / "events.ndjson"
    whole = events.read_text(encoding="utf-8").splitlines(keepends=True)
    events.write_text("".join(whole[:-1]), encoding="utf-8")
    return events


def test_report_of_a_living_run_says_that_it_goes_on(
    unfinished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Journal(unfinished):
        main.run(["report"])
    assert "RUNNING: The run is still going on" in capsys.readouterr().out

    main.run(["report"])
    assert "INTERRUPTED: The run was cut off" in capsys.readouterr().out


def test_status_of_a_living_run_says_that_it_goes_on(unfinished: Path) -> None:
    found = []
    with workshop("status", announce=False) as shop:
        with Journal(unfinished):
            found.append(_last_run(shop))
        found.append(_last_run(shop))

    assert [one and one.verdict for one in found] == ["RUNNING", "INTERRUPTED"]


def test_page_of_a_run_without_an_end_does_not_say_why(unfinished: Path) -> None:
    main.run(["report"])

    page = (unfinished.parent / "report.html").read_text(encoding="utf-8")
    assert "The run has not come to its end" in page
    assert "cut off" not in page


@pytest.mark.parametrize("left", ["", "{", '{"event": "Notice"}\n'])
def test_status_says_that_the_newest_run_left_nothing_to_read(checkout: Path, left: str) -> None:
    folder = checkout / "runs" / FACTS.id
    (folder / "events.ndjson").write_text(left, encoding="utf-8")
    with workshop("status", announce=False) as shop:
        found = _last_run(shop)

    assert found is not None
    assert (found.id, found.verdict) == (folder.name, "unreadable")


def test_report_is_its_source_with_json(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main.run(["report", FACTS.id, "--json"])

    assert json.loads(capsys.readouterr().out)["verdict"] == "FAIL"


def test_run_that_is_not_there_is_an_error_of_usage(checkout: Path) -> None:
    assert main.run(["report", "20250101T000000Z-0000000"]) == ExitCode.USAGE


def test_check_is_explained(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(CHECKOUT)

    assert main.run(["explain", "deploy.ready"]) == ExitCode.PASS
    assert capsys.readouterr().out.startswith("# deploy.ready\n")


def test_all_checks_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(CHECKOUT)
    main.run(["explain"])

    listed = capsys.readouterr().out.split()
    assert "deploy.ready" in listed
    assert "README" not in listed


def test_scripts_get_pages_and_names_as_records(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(CHECKOUT)
    main.run(["explain", "--json"])
    main.run(["explain", "deploy.ready", "--json"])

    listed, explained = map(json.loads, capsys.readouterr().out.splitlines())
    assert "deploy.ready" in listed["checks"]
    assert explained["page"].startswith("# deploy.ready\n")


def test_unknown_check_is_an_error_of_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)

    assert main.run(["explain", "deploy.redy"]) == ExitCode.USAGE
