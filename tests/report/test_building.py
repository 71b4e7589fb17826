"""From events to a report: nothing is lost, nothing is made better than it was."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from rehearsal.cli.e2e_commands import e2e
from rehearsal.core.checks import CheckKind
from rehearsal.core.errors import HarnessError
from rehearsal.core.events import (
    CheckFinished,
    Level,
    Notice,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
)
from rehearsal.core.verdicts import Ending, Verdict
from rehearsal.report.building import build
from rehearsal.report.model import Report
from rehearsal.report.phrasing import again, headline
from rehearsal.stages import kinds

from tests.report.conftest import EVENTS, FACTS, LOST, of_events, records


def test_report_has_the_runs_own_verdict_and_code(report: Report) -> None:
    assert (report.verdict, report.exit_code, report.complete) == (Ending.FAIL, 1, True)


def test_every_stage_and_check_is_there(report: Report) -> None:
    assert [one.name for one in report.stages] == ["doctor", "contract", "load", "chaos"]
    assert len(report.checks) == 4


def test_gravest_finding_comes_first_and_what_could_not_look_last(report: Report) -> None:
    assert [one.id for one in report.findings()] == ["chaos.lost", "contract.drift", "chaos.traffic"]


def test_everything_that_was_not_looked_at_is_named(report: Report) -> None:
    assert [one.what for one in report.not_looked_at] == [
        "stage load",
        "chaos.traffic of payment-service",
        "what needs netem",
    ]


def test_run_that_was_killed_is_interrupted_with_what_it_had_said() -> None:
    until_killed = records(EVENTS[:-3])
    cut_off = build(until_killed)

    assert (cut_off.verdict, cut_off.exit_code, cut_off.complete) == (Ending.INTERRUPTED, 130, False)
    assert cut_off.stages[-1].ending is Ending.INTERRUPTED
    assert cut_off.stages[-1].seconds == 1.0  # until its last word
    assert cut_off.of_verdict(Verdict.INVALID)


@pytest.mark.parametrize(
    ("ending", "end"),
    [
        (Ending.ABORTED, (RunFinished(Ending.ABORTED, 6, 1.0),)),
        (Ending.INVALID, (RunFinished(Ending.INVALID, 4, 1.0),)),  # it took too long
        (None, ()),
    ],
    ids=["aborted", "overtime", "killed"],
)
def test_stage_that_was_cut_off_shows_no_promise(ending: Ending | None, end: tuple[RunFinished, ...]) -> None:
    kept = CheckKind("load.formula", "It asks for what its formula gives", LOST.severity)
    ended = () if ending is None else (StageFinished("load", ending, 1.0, "cut off"),)
    report = of_events(
        StageStarted("load", "Load.", 1.0),
        CheckFinished("load", kept.passed("orders", "it holds")),
        *ended,
        *end,
    )
    assert report.score is not None
    cost = next(one for one in report.score.aspects if one.name == "Cost")

    assert (cost.score, cost.criteria[0].why) == (0, "load did not come to its end")


def test_events_without_a_begin_are_no_run() -> None:
    with pytest.raises(HarnessError, match="which run"):
        build(records(EVENTS[1:]))


def test_secrets_do_not_reach_the_report() -> None:
    secret = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl"
    shown = of_events(Notice(Level.INFO, f"sent Bearer {secret} to postgres://anna:geheim@db/orders"))

    assert secret not in shown.notices[0].message
    assert "geheim" not in shown.notices[0].message


@pytest.mark.parametrize(
    ("ending", "reason", "said"),
    [
        (Ending.PASS, "", "The stages came to their end; nothing was checked."),
        (Ending.ENVIRONMENT, "the engine is down", "load: the engine is down"),
        (Ending.ABORTED, "too many errors", "load: too many errors"),
    ],
)
def test_headline_says_what_the_verdict_means(ending: Ending, reason: str, said: str) -> None:
    shown = of_events(
        StageStarted("load", "", 1.0), StageFinished("load", ending, 1.0, reason), RunFinished(ending, 0, 1.0)
    )

    assert headline(shown) == said


def test_headline_counts_what_does_not_hold(report: Report) -> None:
    assert headline(report) == "2 of 4 checks do not hold."


def test_run_is_repeated_with_the_seed_that_it_drew(report: Report) -> None:
    assert again(report) == "rehearsal e2e --seed 7"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("rehearsal e2e --stages load --seed 7", "rehearsal e2e --stages load --seed 7"),
        ("rehearsal e2e --thorough", "rehearsal e2e --thorough --seed 7"),
        ("rehearsal soak -n 10", "rehearsal e2e --keep --profile light --timing compressed --seed 7"),
    ],
)
def test_command_that_repeats_a_run_takes_its_seed(command: str, said: str) -> None:
    began = RunStarted(replace(FACTS, command=command))
    words = shlex.split(again(build(records([began]))))

    assert shlex.join(words) == said
    e2e.make_context("e2e", words[2:])  # raises for an option that it does not have


@pytest.mark.parametrize("chosen", ["--context staging", "--context=staging"])
def test_finding_on_another_cluster_is_repeated_there(chosen: str) -> None:
    began = RunStarted(replace(FACTS, command=f"rehearsal e2e {chosen} --seed 7", context="staging"))
    kind = next(one for one in kinds.ALL if one.id == "contract.fuzz")
    findings = [
        kind.failed("things", "a", expected="a", observed="b"),
        kind.failed("others", "b", expected="a", observed="b", reproduce="rehearsal e2e --stages contract"),
        kind.failed("tests", "c", expected="a", observed="b", reproduce="nox -s tests"),
        kind.failed("cdn", "d", expected="a", observed="b", reproduce="rehearsal up --ci cdn"),
        kind.failed("limits", "e", expected="a", observed="b", reproduce="rehearsal render"),
    ]
    report = build(records([began, *(CheckFinished("contract", one) for one in findings)]))

    assert {one.subject: one.reproduce for one in report.checks} == {
        "things": f"rehearsal e2e --stages contract --seed 7 {chosen}",
        "others": f"rehearsal e2e --stages contract {chosen}",
        "tests": "nox -s tests",
        "cdn": f"rehearsal e2e --stages deploy {chosen}",
        "limits": f"rehearsal render {chosen}",
    }


@pytest.mark.parametrize("kind", kinds.ALL, ids=lambda kind: kind.id)
def test_each_finding_of_each_stage_has_a_command_that_repeats_it(kind: CheckKind) -> None:
    stage = kind.id.split(".")[0]
    report = of_events(
        CheckFinished(stage, kind.failed("a subject", "it fails", expected="1", observed="2")),
        CheckFinished(stage, kind.invalid("a subject", "it could not look")),
    )

    assert [one.reproduce for one in report.findings()] == [f"rehearsal e2e --stages {stage} --seed 7"] * 2
    e2e.make_context("e2e", shlex.split(report.findings()[0].reproduce)[2:])


def test_finding_of_a_thorough_run_is_repeated_thoroughly() -> None:
    began = RunStarted(replace(FACTS, command="rehearsal e2e --thorough"))
    lost = CheckFinished("chaos", LOST.failed("orders", "one is lost", expected="0", observed="1"))

    (found,) = build(records([began, lost])).findings()
    assert found.reproduce == "rehearsal e2e --stages chaos --thorough --seed 7"


def test_finding_of_single_experiments_is_repeated_by_them() -> None:
    command = "rehearsal e2e --stages chaos --experiment kill-all-cdn --experiment=kill-all-redis"
    began = RunStarted(replace(FACTS, command=command))
    lost = CheckFinished("chaos", LOST.failed("orders", "one is lost", expected="0", observed="1"))

    (found,) = build(records([began, lost])).findings()
    assert set(found.reproduce.split()) == {*command.split(), "--seed", "7"}
    e2e.make_context("e2e", shlex.split(found.reproduce)[2:])


def test_finding_of_another_stage_is_repeated_without_the_choice_of_experiments() -> None:
    began = RunStarted(replace(FACTS, command="rehearsal e2e --experiment=kill-all-cdn"))
    late = CheckFinished("load", LOST.failed("orders", "one is late", expected="0", observed="1"))

    (found,) = build(records([began, late])).findings()
    assert found.reproduce == "rehearsal e2e --stages load --seed 7"


def test_command_of_a_finding_that_has_one_is_kept(report: Report) -> None:
    assert report.findings()[0].reproduce == "rehearsal e2e --stages chaos --seed 7"


def test_check_that_holds_needs_no_command(report: Report) -> None:
    assert {one.reproduce for one in report.of_verdict(Verdict.PASS)} == {""}


def test_severity_of_a_finding_is_that_of_its_kind(report: Report) -> None:
    assert report.findings()[0].severity is LOST.severity
