"""Verdicts, errors and the exit codes that scripts rely on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError, HarnessError, RehearsalError
from rehearsal.core.processes import ProcessFailedError
from rehearsal.core.verdicts import (
    Ending,
    ExitCode,
    Verdict,
    combine,
    combine_endings,
    exit_code_of,
    exit_code_of_ending,
)
from rehearsal.core.waiting import WaitTimeoutError

verdicts = st.sampled_from(Verdict)
# Rising: who outranks whom is part of the promise of an honest verdict.
RANKS = [Verdict.PASS, Verdict.INVALID, Verdict.FAIL, Verdict.ABORTED, Verdict.ERROR]


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.PASS, 0),
        (Verdict.FAIL, 1),
        (Verdict.INVALID, 4),
        (Verdict.ERROR, 5),
        (Verdict.ABORTED, 6),
    ],
)
def test_exit_code_of_a_verdict(verdict: Verdict, code: int) -> None:
    assert exit_code_of(verdict) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RehearsalError, 5),
        (ConfigurationError, 2),
        (EnvironmentNotReadyError, 3),
        (WaitTimeoutError, 3),
        (HarnessError, 5),
        (ProcessFailedError, 5),
    ],
)
def test_exit_code_of_an_error(error: type[RehearsalError], code: int) -> None:
    assert error.exit_code == code


def test_every_verdict_has_an_exit_code_of_its_own() -> None:
    assert len({exit_code_of(one) for one in Verdict}) == len(Verdict)


def test_no_error_ends_like_a_verdict_about_the_product() -> None:
    about_the_product = {ExitCode.PASS, ExitCode.FAIL, ExitCode.INVALID, ExitCode.ABORTED}

    assert not {ConfigurationError.exit_code, EnvironmentNotReadyError.exit_code} & about_the_product


def test_interruption_has_the_shell_s_code() -> None:
    assert ExitCode.INTERRUPTED.value == 130


def test_error_shows_its_code() -> None:
    assert (
        str(RehearsalError("DISK_FULL", "the disk is full", hint="Free some."))
        == "the disk is full [DISK_FULL]"
    )


def test_nothing_looked_at_is_invalid() -> None:
    assert combine([]) is Verdict.INVALID


@given(verdicts)
def test_one_part_decides_alone(one: Verdict) -> None:
    assert combine([one]) is one


@given(st.lists(verdicts, min_size=1))
def test_worst_part_decides(parts: list[Verdict]) -> None:
    assert combine(parts) is max(parts, key=RANKS.index)


@given(st.lists(verdicts), st.lists(verdicts))
def test_grouping_does_not_matter(some: list[Verdict], others: list[Verdict]) -> None:
    groups = [combine(group) for group in (some, others) if group]

    assert combine(groups) is combine([*some, *others])


@given(st.permutations(list(Verdict)), st.integers(min_value=0, max_value=len(Verdict)))
def test_order_does_not_matter(parts: list[Verdict], count: int) -> None:
    assert combine(parts[:count]) is combine(reversed(parts[:count]))


@given(st.lists(verdicts, min_size=1))
def test_whole_passes_only_when_each_part_does(parts: list[Verdict]) -> None:
    assert (combine(parts) is Verdict.PASS) == all(one is Verdict.PASS for one in parts)


@pytest.mark.parametrize(
    ("endings", "whole"),
    [
        ([], Ending.NOT_RUN),
        ([Ending.NOT_RUN], Ending.NOT_RUN),
        ([Ending.PASS, Ending.NOT_RUN], Ending.PASS),
        ([Ending.PASS, Ending.INVALID], Ending.INVALID),
        ([Ending.INVALID, Ending.ENVIRONMENT], Ending.ENVIRONMENT),
        ([Ending.FAIL, Ending.ENVIRONMENT], Ending.FAIL),
        ([Ending.FAIL, Ending.ABORTED], Ending.ABORTED),
        ([Ending.ABORTED, Ending.ERROR], Ending.ERROR),
        ([Ending.ERROR, Ending.INTERRUPTED], Ending.INTERRUPTED),
    ],
)
def test_run_ends_as_its_worst_stage(endings: list[Ending], whole: Ending) -> None:
    assert combine_endings(endings) is whole


def test_each_ending_has_an_exit_code() -> None:
    assert {exit_code_of_ending(one) for one in Ending} == set(ExitCode)


def test_run_of_nothing_does_not_pass() -> None:
    assert exit_code_of_ending(Ending.NOT_RUN) is ExitCode.INVALID
