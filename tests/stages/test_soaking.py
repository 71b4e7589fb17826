"""Soaking: what counts as a try, how sure so many of them make, and a log that loses nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from rehearsal.core.errors import HarnessError
from rehearsal.core.verdicts import Ending
from rehearsal.stages.soaking import SoakRun, append, begin, end, left, of_kind, read, soaked, upper_bound

RUN = SoakRun(
    "2026-01-02T03:04:05+00:00", "abc", "light", "compressed", "2 cores", "run-1", 7, Ending.PASS, 700.0, ()
)


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "soak.ndjson"
    runs = [RUN, replace(RUN, ending=Ending.FAIL, findings=("load.latency orders",))]
    for one in runs:
        append(log, one)

    assert read(log) == runs


def test_line_of_before_errors_were_written_down_is_a_run(tmp_path: Path) -> None:
    log = tmp_path / "soak.ndjson"
    content = asdict(RUN)
    del content["error"], content["failed"]
    log.write_text(json.dumps(content) + "\n", encoding="utf-8")

    assert read(log) == [RUN]


def test_run_that_began_and_has_no_line_was_killed(tmp_path: Path) -> None:
    log = tmp_path / "soak.ndjson"
    begin(log, RUN)
    killed = left(log)
    append(log, RUN)

    assert (killed, left(log)) == (RUN, None)


def test_run_that_has_ended_was_not_killed(tmp_path: Path) -> None:
    log = tmp_path / "soak.ndjson"
    begin(log, RUN)
    end(log)

    assert left(log) is None


def test_no_log_has_no_runs(tmp_path: Path) -> None:
    assert read(tmp_path / "soak.ndjson") == []


def test_line_that_was_cut_off_is_no_run(tmp_path: Path) -> None:
    log = tmp_path / "soak.ndjson"
    append(log, RUN)
    with log.open("a", encoding="utf-8") as file:
        file.write('{"at": "2026')

    assert read(log) == [RUN]


@pytest.mark.parametrize("line", ["nonsense", "{}", '{"ending": "GREAT"}'])
def test_line_in_the_middle_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    log = tmp_path / "soak.ndjson"
    log.write_text(f"{line}\n", encoding="utf-8")

    with pytest.raises(HarnessError, match="line 1"):
        read(log)


def test_only_runs_of_the_same_tree_and_conditions_count() -> None:
    others = [replace(RUN, tree="b"), replace(RUN, profile="standard"), replace(RUN, timing="production")]

    assert of_kind([RUN, *others], tree="abc", profile="light", timing="compressed") == [RUN]


def test_a_run_that_could_not_look_is_a_false_finding_and_one_without_a_verdict_no_try() -> None:
    endings = [Ending.PASS, Ending.FAIL, Ending.INVALID, Ending.ENVIRONMENT, Ending.ERROR, Ending.INTERRUPTED]
    found = soaked([replace(RUN, ending=one) for one in endings])

    assert (found.tries, found.false, found.broken) == (3, 2, 3)


@pytest.mark.parametrize("ending", [Ending.ABORTED, Ending.ERROR, Ending.INTERRUPTED])
def test_finding_of_a_run_that_was_broken_off_is_a_false_one_all_the_same(ending: Ending) -> None:
    found = soaked([replace(RUN, ending=ending, failed=1), replace(RUN, ending=ending)])

    assert (found.tries, found.false, found.broken) == (1, 1, 1)


@pytest.mark.parametrize(
    ("found", "tries", "bound"),
    # Of none: 1 - 0.05^(1/n). Of one in ten: tables of Clopper and Pearson, one-sided.
    [(0, 10, 0.25887), (0, 300, 0.009936), (1, 10, 0.39416), (10, 10, 1.0), (0, 0, 1.0)],
)
def test_bound_is_exact(found: int, tries: int, bound: float) -> None:
    assert upper_bound(found, tries) == pytest.approx(bound, abs=1e-4)


def test_nothing_tried_claims_nothing() -> None:
    assert "nothing is known" in str(soaked([]))
