"""`rehearsal e2e` with planted stages: exit codes, report, and what an earlier run left."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import NoReturn

import pytest
from rehearsal.cli import environment_commands, main
from rehearsal.cli.composition import workshop
from rehearsal.core.errors import HarnessError
from rehearsal.core.redaction import HIDDEN
from rehearsal.core.verdicts import ExitCode
from rehearsal.report import writing
from rehearsal.stages import run_folder
from rehearsal.stages.preparing import CLUSTER_ENTRY

from tests.cli.conftest import DRAWN, Ground


def test_run_that_passes_ends_with_0(ground: Ground) -> None:
    assert main.run(["e2e"]) == ExitCode.PASS


@pytest.mark.parametrize(
    ("deed", "code"),
    [
        ("FAIL", ExitCode.FAIL),
        ("INVALID", ExitCode.INVALID),
        ("ABORTED", ExitCode.ABORTED),
        ("ENVIRONMENT", ExitCode.ENVIRONMENT),
        ("USAGE", ExitCode.USAGE),
        ("ERROR", ExitCode.ERROR),
        ("INTERRUPTED", ExitCode.INTERRUPTED),
    ],
)
def test_run_ends_with_the_code_of_its_worst_stage(ground: Ground, deed: str, code: ExitCode) -> None:
    ground.deeds["load"] = deed

    assert main.run(["e2e"]) == code
    assert [report["exit_code"] for report in ground.reports()] == [code]


@pytest.mark.parametrize("option", ["--stages", "--from", "--context"])
@pytest.mark.parametrize("value", ["", " ", ","])
def test_option_that_names_nothing_is_a_usage_error_and_runs_nothing(
    ground: Ground, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert main.run(["e2e", option, value]) == ExitCode.USAGE
    assert f"leave {option} out" in capsys.readouterr().err
    assert ground.reports() == []


@pytest.mark.parametrize(
    ("key", "value"), [("stop_free_disk_gib", 1e6), ("stop_available_memory_mib", 10**9)]
)
def test_run_that_would_harm_the_machine_stops_with_6_and_undoes_everything(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, key: str, value: float
) -> None:
    # These stages take no time, and two looks at once are as one.
    monkeypatch.setattr("rehearsal.stages.guarding._SHORT_SHARE", 0.0)
    ground.deeds["supply"] = "change"
    ground.set(key, value)

    assert main.run(["e2e"]) == ExitCode.ABORTED
    assert (ground.undone, ground.ledger.entries()) == (["supply"], [])
    (report,) = ground.reports()
    stages = {one["name"]: one["ending"] for one in report["stages"]}
    assert (report["verdict"], stages["cluster"], stages["chaos"]) == ("ABORTED", "ABORTED", "NOT RUN")


class Deserted(io.StringIO):
    """Standard error whose reader goes when a stage begins: the same Ctrl-C ended a `tee`, for example."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self._last, self._gone = f"== {stage} ", False

    def write(self, text: str) -> int:
        """Write, as long as somebody reads."""
        self._gone = self._gone or text.startswith(self._last)
        if self._gone:
            raise OSError(errno.EPIPE, "Broken pipe")
        return super().write(text)


@pytest.mark.parametrize(("deed", "code"), [("INTERRUPTED", ExitCode.INTERRUPTED), ("FAIL", ExitCode.FAIL)])
def test_run_that_nobody_listens_to_any_more_undoes_everything_and_has_its_report(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, deed: str, code: ExitCode
) -> None:
    ground.deeds.update(contract="change", load=deed)
    monkeypatch.setattr("sys.stderr", Deserted("load"))

    assert main.run(["e2e"]) == code
    assert (ground.undone, ground.ledger.entries()) == (["contract"], [])
    assert [report["exit_code"] for report in ground.reports()] == [code]


def test_run_of_stages_that_only_prepare_ends_with_4_and_says_so(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["e2e", "--stages", "doctor,supply"]) == ExitCode.INVALID
    assert "INVALID: Nothing was judged: the stages that were run only prepare." in capsys.readouterr().out


def test_last_words_are_the_verdict_and_where_the_report_is(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.deeds["load"] = "FAIL"
    main.run(["e2e", "--seed", "7"])

    said = capsys.readouterr().out
    assert "FAIL: 1 of 8 checks does not hold." in said
    assert f"report: {ground.checkout}" in said


def test_seed_that_was_asked_for_stands_in_the_report(ground: Ground) -> None:
    main.run(["e2e", "--seed", "7", "--stages", "load"])

    (report,) = ground.reports()
    assert report["run"]["seed"] == 7


def test_report_says_what_is_promised_of_the_latency_of_orders(ground: Ground) -> None:
    main.run(["e2e", "--stages", "load"])

    (report,) = ground.reports()
    assert report["run"]["order_p95_seconds"] == 1.0


def test_stages_that_were_not_asked_for_are_not_looked_at(ground: Ground) -> None:
    main.run(["e2e", "--from", "chaos"])

    (report,) = ground.reports()
    assert len(report["not_looked_at"]) == 6


def test_what_a_killed_run_left_is_undone_before_anything_else(ground: Ground) -> None:
    ground.ledger.enter("planted", "what a killed run changed", stage="chaos")

    assert main.run(["e2e", "--stages", "load"]) == ExitCode.PASS
    assert (ground.undone, ground.ledger.entries()) == (["chaos"], [])


def test_nothing_is_begun_on_top_of_what_cannot_be_undone(ground: Ground) -> None:
    ground.ledger.enter("unknown", "the moon was moved")

    assert main.run(["e2e"]) == ExitCode.ERROR
    assert ground.reports() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--stages", "lod"],
        ["--from", "lod"],
        ["--context", "production"],
        ["--profile", "huge"],
        ["--experiment", "outage-moon"],
        ["--experiment", "kill-all-kafka"],  # with --thorough only
        ["--stages", "load", "--experiment", "outage-kafka"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused_before_anything_is_begun(
    ground: Ground, arguments: list[str]
) -> None:
    assert main.run(["e2e", *arguments]) == ExitCode.USAGE
    assert list(ground.checkout.glob("runs/*/report.json")) == []


def test_what_a_killed_run_left_can_be_undone_without_another_run(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.ledger.enter("planted", "what a killed run changed", stage="chaos")

    assert main.run(["undo"]) == ExitCode.PASS
    assert (ground.undone, ground.reports()) == (["chaos"], [])
    assert capsys.readouterr().out == "undone: what a killed run changed\n"


def test_up_undoes_what_a_killed_run_broke_before_it_deploys(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.ledger.enter("planted", "what a killed run changed", stage="chaos")
    undone_before: list[str] = []
    monkeypatch.setattr(environment_commands, "bring_up", lambda *arguments, **options: None)
    monkeypatch.setattr(
        environment_commands, "_tilt", lambda shop, resources, *, ci: undone_before.extend(ground.undone)
    )

    assert main.run(["up", "--ci"]) == ExitCode.PASS
    assert (undone_before, ground.ledger.entries()) == (["chaos"], [])


def test_nothing_to_undo_is_said(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["undo"]) == ExitCode.PASS
    assert capsys.readouterr().out == "nothing to undo\n"


def test_cluster_of_a_killed_run_that_was_taken_down_is_not_to_be_undone(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.ledger.enter(CLUSTER_ENTRY, "the cluster that a run made")
    monkeypatch.setattr(environment_commands, "take_down", lambda *arguments, **options: None)

    assert main.run(["down"]) == ExitCode.PASS
    assert ground.ledger.entries() == []


def _left(ground: Ground) -> dict[str, str]:
    """Return what the runs left, by file."""
    files = [path for path in ground.checkout.glob("runs/**/*") if path.is_file()]
    return {path.name: path.read_text(encoding="utf-8") for path in files}


@pytest.mark.parametrize("deed", ["PASS", "FAIL", "ERROR", "INTERRUPTED"])
def test_secrets_are_in_no_file_of_a_run_however_it_ended(ground: Ground, deed: str) -> None:
    ground.deeds.update(deploy="leak", load=deed)
    main.run(["e2e"])

    left = _left(ground)
    assert {"leak.log", "late.log", "report.html", "events.ndjson"} <= set(left)
    assert [name for name, text in left.items() if DRAWN in text] == []
    assert run_folder.marked(ground.checkout) == []


def test_secrets_are_in_no_file_when_the_report_cannot_be_written(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run: Path) -> NoReturn:
        raise HarnessError("REPORT_INVALID", "it cannot be written", hint="")

    monkeypatch.setattr(writing, "write", broken)
    ground.deeds["deploy"] = "leak"

    assert main.run(["e2e"]) == ExitCode.ERROR
    assert [name for name, text in _left(ground).items() if DRAWN in text] == []


@pytest.mark.parametrize("command", ["undo", "e2e"])
def test_secrets_that_a_killed_run_left_are_taken_out(
    ground: Ground, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_folder.create(ground.checkout, "abcdef1")
    (folder / "tilt.log").write_text(f"the value is {DRAWN}\n", encoding="utf-8")

    assert main.run([command]) == ExitCode.PASS
    assert (folder / "tilt.log").read_text(encoding="utf-8") == f"the value is {HIDDEN}\n"
    assert run_folder.marked(ground.checkout) == []
    assert (f"undone: secrets in {folder.name}" in capsys.readouterr().out) == (command == "undo")


def test_cluster_of_a_killed_run_that_somebody_takes_over_is_not_removed(ground: Ground) -> None:
    ground.ledger.enter(CLUSTER_ENTRY, "the cluster that a run made", identity="abc")
    ground.ledger.enter("planted", "a change of its", stage="chaos")
    with workshop("up", announce=False) as shop:
        shop.forget_cluster()

    assert [entry.kind for entry in ground.ledger.entries()] == ["planted"]
