"""Kinds of checks: each id once, each with its page, no page without a check."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.core.checks import CheckKind
from rehearsal.stages.kinds import ALL
from rehearsal.stages.registry import BY_NAME

PAGES = Path(__file__).resolve().parents[2] / "docs" / "checks"


def test_each_id_is_of_one_kind() -> None:
    assert len({kind.id for kind in ALL}) == len(ALL)


def test_pages_are_those_of_the_checks() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} - {"README"} == {kind.id for kind in ALL}


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.id)
def test_page_begins_with_id_title_and_severity(kind: CheckKind) -> None:
    head = (PAGES / f"{kind.id}.md").read_text(encoding="utf-8").split("\n## ", 1)[0]

    assert head == f"# {kind.id}\n\n**{kind.title}.** Severity: {kind.severity}.\n"


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.id)
def test_page_says_when_the_check_could_not_look(kind: CheckKind) -> None:
    assert "## When it is INVALID" in (PAGES / f"{kind.id}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.id)
def test_id_begins_with_the_stage_that_makes_the_check(kind: CheckKind) -> None:
    assert BY_NAME[kind.id.split(".")[0]].judges
