"""`rehearsal report` and `explain` as commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from rehearsal.cli import main
from rehearsal.core.verdicts import ExitCode

from tests.report.conftest import FACTS, write_events

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout with one run that failed and was not reported yet."""
    shutil.copy(CHECKOUT / "rehearsal.toml", tmp_path)
    write_events(tmp_path / "runs" / FACTS.id)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_newest_run_is_rendered_again(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["report"]) == ExitCode.PASS
    assert "FAIL: 2 of 4 checks do not hold." in capsys.readouterr().out


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
