"""`rehearsal soak` with planted stages: how many runs, what counts, where it goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NoReturn

import pytest
from rehearsal.cli import e2e_assembly, main
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError, HarnessError
from rehearsal.core.processes import run
from rehearsal.core.verdicts import ExitCode
from rehearsal.report import writing
from rehearsal.report.model import Report
from rehearsal.stages.room import Room

from tests.cli.conftest import Ground


@pytest.fixture
def committed(ground: Ground) -> Ground:
    """Return a ground whose checkout is a commit."""
    (ground.checkout / ".gitignore").write_text("/runs/\n", encoding="utf-8")
    run(["git", "-C", str(ground.checkout), "init", "-q"], timeout_seconds=60)
    _commit(ground)
    return ground


def _commit(ground: Ground) -> None:
    for arguments in (("add", "."), ("commit", "-q", "-m", "All")):
        who = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")
        run(["git", "-C", str(ground.checkout), *who, *arguments], timeout_seconds=60)


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


@pytest.mark.parametrize(
    ("ending", "code"), [("INTERRUPTED", ExitCode.INTERRUPTED), ("ABORTED", ExitCode.ABORTED)]
)
def test_finding_is_not_forgotten_because_its_run_was_broken_off(
    committed: Ground, capsys: pytest.CaptureFixture[str], ending: str, code: ExitCode
) -> None:
    committed.deeds |= {"load": "FAIL", "chaos": ending}
    assert main.run(["soak", "-n", "5"]) == code
    committed.deeds.clear()

    assert main.run(["soak", "-n", "2", "--json"]) == ExitCode.FAIL
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["tries"], said["false"], said["broken"]) == (2, 1, 0)


def test_machine_without_room_ends_it_at_once(committed: Ground) -> None:
    committed.deeds["load"] = "ABORTED"

    assert main.run(["soak", "-n", "5"]) == ExitCode.ABORTED
    assert [line["ending"] for line in _lines(committed)] == ["ABORTED"]


def test_machine_that_is_not_ready_ends_it_after_three_runs(committed: Ground) -> None:
    committed.deeds["cluster"] = "ENVIRONMENT"

    assert main.run(["soak", "-n", "5"]) == ExitCode.ENVIRONMENT
    assert len(_lines(committed)) == 3


def _dying(room: Room) -> None:
    raise SystemExit(9)  # as little is done after it as after SIGKILL


def test_killed_run_has_its_line_and_what_it_had_found_when_the_soak_goes_on(
    committed: Ground, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    committed.deeds["load"] = "FAIL"
    real = committed.stages
    monkeypatch.setattr(e2e_assembly, "_stages", lambda *of: {**real(*of), "chaos": _dying})
    main.run(["soak", "-n", "1"])
    assert not (committed.checkout / "runs" / "soak.ndjson").exists()
    monkeypatch.setattr(e2e_assembly, "_stages", real)
    committed.deeds.clear()

    assert main.run(["soak", "-n", "2", "--json"]) == ExitCode.FAIL
    assert [(line["ending"], line["failed"]) for line in _lines(committed)] == [
        ("INTERRUPTED", 1),
        ("PASS", 0),
    ]
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["false"] == 1


def test_run_that_ends_without_a_report_has_its_line_too(committed: Ground) -> None:
    committed.ledger.enter("unknown", "the moon was moved")

    assert main.run(["soak", "-n", "2"]) == ExitCode.ENVIRONMENT
    assert [(line["ending"], line["run"]) for line in _lines(committed)] == [("ERROR", "")] * 3
    assert "the moon was moved" in str(_lines(committed)[0]["error"])


@pytest.mark.parametrize(
    ("error", "ending", "code", "lines"),
    [
        (HarnessError("REPORT_INVALID", "no report", hint=""), "ERROR", ExitCode.ENVIRONMENT, 3),
        (EnvironmentNotReadyError("FULL", "no room", hint=""), "ENVIRONMENT", ExitCode.ENVIRONMENT, 3),
        (ConfigurationError("NONSENSE", "no sense", hint=""), "USAGE", ExitCode.USAGE, 1),
        (ZeroDivisionError("a mistake"), "ERROR", ExitCode.ERROR, 1),
        (KeyboardInterrupt(), "INTERRUPTED", ExitCode.INTERRUPTED, 1),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, BaseException) else None,
)
def test_error_after_the_run_has_its_line_with_the_run_s_folder(
    committed: Ground,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    ending: str,
    code: ExitCode,
    lines: int,
) -> None:
    def broken(run: Path) -> NoReturn:
        raise error

    monkeypatch.setattr(writing, "write", broken)

    assert main.run(["soak", "-n", "5"]) == code
    found = _lines(committed)
    assert [line["ending"] for line in found] == [ending] * lines
    folders = {path.name for path in (committed.checkout / "runs").iterdir() if path.is_dir()}
    assert {line["run"] for line in found} == folders


def test_soak_goes_on_after_a_run_without_a_report(
    committed: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, times = writing.write, [0]

    def broken_once(run: Path) -> Report:
        times[0] += 1
        if times[0] == 1:
            raise HarnessError("REPORT_INVALID", "no report", hint="")
        return real(run)

    monkeypatch.setattr(writing, "write", broken_once)

    assert main.run(["soak", "-n", "1"]) == ExitCode.PASS
    assert [line["ending"] for line in _lines(committed)] == ["ERROR", "PASS"]


def test_line_is_of_the_soak_s_own_run_and_not_of_a_newer_one(
    committed: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = writing.write

    def meanwhile(run: Path) -> Report:
        # Another run of this checkout, whose folder sorts after this one's.
        other = run.with_name("99990101T000000Z-other")
        shutil.copytree(run, other, dirs_exist_ok=True)
        text = (other / "events.ndjson").read_text(encoding="utf-8").replace(run.name, other.name)
        (other / "events.ndjson").write_text(text, encoding="utf-8")
        real(other)
        return real(run)

    monkeypatch.setattr(writing, "write", meanwhile)
    main.run(["soak", "-n", "1"])

    assert "other" not in str(_lines(committed)[0]["run"])


@pytest.mark.parametrize("is_committed", [False, True])
def test_run_during_which_the_tree_changed_is_of_no_tree(
    committed: Ground, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    real = writing.write

    def meanwhile(run: Path) -> Report:
        (committed.checkout / "new.txt").write_text("x", encoding="utf-8")
        if is_committed:
            _commit(committed)
        return real(run)

    monkeypatch.setattr(writing, "write", meanwhile)

    assert main.run(["soak", "-n", "3"]) == ExitCode.USAGE
    assert [line["ending"] for line in _lines(committed)] == ["USAGE"]


def test_log_in_the_checkout_is_no_change_of_it(committed: Ground) -> None:
    log = committed.checkout / "soak.ndjson"
    arguments = ["soak", "-n", "2", "--log", str(log)]

    assert [main.run(arguments), main.run(arguments)] == [ExitCode.PASS, ExitCode.PASS]
    assert len(log.read_text(encoding="utf-8").splitlines()) == 2


def test_tree_with_changes_is_refused(committed: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    (committed.checkout / "new.txt").write_text("x", encoding="utf-8")

    assert main.run(["soak"]) == ExitCode.USAGE
    assert "not committed" in capsys.readouterr().err


def test_outside_of_git_is_refused(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["soak"]) == ExitCode.USAGE
