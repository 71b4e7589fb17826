"""The table: every defect a row, with what named it or why nothing did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rehearsal.core.errors import ConfigurationError
from rehearsal.detection.model import Family
from rehearsal.detection.page import replace as put_into
from rehearsal.detection.page import summary, table
from rehearsal.detection.scoring import Outcome
from rehearsal.detection.trials import CONTROL, Trial

FOUND = Trial(
    "2026-01-02T03:04:05+00:00", "tree", "0123456789", "seed", "one", "reader", "line 3", "some.check file",
    Outcome.FOUND, 0.5, ("some.check file", "other | check"), (), "broken", 1, 2.4,
)  # fmt: skip
MISSED = replace(FOUND, family="two", outcome=Outcome.MISSED, score=0.0, named=(), said="all is well")
CLEAN = replace(FOUND, family=CONTROL, outcome=Outcome.CLEAN, score=0.0, named=(), said="", site="")


def _family(name: str) -> Family:
    return Family(name, "files", "one line", "reader", lambda root, random: pytest.fail("is not planted"))


FAMILIES = (_family("one"), _family("two"))


def test_summary_counts_each_outcome_and_the_mean_of_all() -> None:
    said = summary([CLEAN, FOUND, MISSED])

    assert said.startswith("2 defects planted: 1 found, 1 missed, 0 void, 0 not looked at")
    assert said.endswith("mean score 0.25")


def test_defect_that_was_found_is_shown_with_what_named_it() -> None:
    assert "| one | one line | line 3 | reader | some.check file; other \\| check | 0.50 | 2 |" in table(
        [CLEAN, FOUND], FAMILIES
    )


def test_defect_that_was_missed_stands_out() -> None:
    assert "| **missed**: all is well | 0.00 |" in table([CLEAN, MISSED], FAMILIES)


def test_table_takes_its_place_in_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Head\n\n<!-- table -->\nold\n<!-- /table -->\n\nTail\n", encoding="utf-8")
    put_into(page, "new\n")

    assert page.read_text("utf-8") == "# Head\n\n<!-- table -->\n\nnew\n\n<!-- /table -->\n\nTail\n"


def test_page_without_a_place_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Head\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match="no place"):
        put_into(page, "new\n")
