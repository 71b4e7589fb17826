"""The table: every defect a row, with what named it or why nothing did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rehearsal.core.errors import ConfigurationError
from rehearsal.detection.model import Family
from rehearsal.detection.page import PAGE, read, read_looks, summary
from rehearsal.detection.page import replace as put_into
from rehearsal.detection.page import table as table_of
from rehearsal.detection.scoring import Outcome
from rehearsal.detection.trials import CONTROL, Looks, Trial, looks

ROOT = Path(__file__).parents[2]
FOUND = Trial(
    "2026-01-02T03:04:05+00:00", "tree", "0123456789", "seed", "one", "reader", "line 3", "some.check file",
    Outcome.FOUND, 0.5, ("some.check file", "other | check"), (), "broken", 1, 2.4,
)  # fmt: skip
MISSED = replace(FOUND, family="two", outcome=Outcome.MISSED, score=0.0, named=(), said="all is well")
CLEAN = replace(FOUND, family=CONTROL, outcome=Outcome.CLEAN, score=0.0, named=(), said="", site="")


def _family(name: str) -> Family:
    return Family(name, "files", "one line", "reader", lambda root, random: pytest.fail("is not planted"))


def table(
    trials: Sequence[Trial], families: Sequence[Family], counted: Mapping[str, Looks] | None = None
) -> str:
    """Return the table, as if nothing was counted where that does not matter."""
    return table_of(trials, families, counted or {})


FAMILIES = (_family("one"), _family("two"))


def test_summary_counts_each_outcome_and_the_mean_of_all() -> None:
    said = summary([CLEAN, FOUND, MISSED])

    assert said.startswith("2 defects planted: 1 found, 1 missed, 0 void, 0 not looked at")
    assert said.endswith("mean score 0.25")


def test_defect_that_was_found_is_shown_with_what_named_it() -> None:
    text = table([CLEAN, FOUND], FAMILIES)

    assert (
        "| one | one line | line 3 | reader | some.check file; other \\| check | 0.50 | 2 | 0123456" in text
    )


def test_defect_that_was_missed_stands_out() -> None:
    assert "| **missed**: all is well | 0.00 |" in table([CLEAN, MISSED], FAMILIES)


def test_rows_are_in_the_order_of_the_families_and_say_their_commits() -> None:
    own = replace(MISSED, commit="fedcba9876", seed="fedcba9876")

    lines = [line for line in table([own, CLEAN, FOUND], FAMILIES).splitlines() if line.startswith("| ")]

    assert [line.split(" | ")[0].strip("| ") for line in lines if "line 3" in line] == ["one", "two"]
    assert [line for line in lines if line.endswith("| fedcba9 |")]


def test_a_family_that_is_gone_or_was_never_looked_for_has_no_row() -> None:
    text = table([replace(FOUND, family="gone"), FOUND], FAMILIES)

    assert "gone" not in text
    assert text.startswith("1 defects planted")


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


def test_what_the_page_has_and_no_log_any_more_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- table -->\n<!-- /table -->\n", encoding="utf-8")
    many = replace(FOUND, named=("a", "b", "c", "d"), seed=FOUND.commit)
    text = table([CLEAN, many, MISSED], FAMILIES)
    put_into(page, text)

    assert table(read(page), FAMILIES) == text
    assert [one.outcome for one in read(page)] == [Outcome.FOUND, Outcome.MISSED, Outcome.CLEAN]


def _looks_at(*outcomes: Outcome) -> list[Trial]:
    return [replace(CLEAN, at=f"2026-01-02T03:04:{n:02}", outcome=one) for n, one in enumerate(outcomes)]


def test_control_that_was_not_clean_is_counted_behind_a_clean_one() -> None:
    made = _looks_at(Outcome.VOID, Outcome.NOT_LOOKED, Outcome.VOID, Outcome.CLEAN)
    counted = looks([*made, FOUND], {})

    assert counted == {"reader": Looks(3, 2, "2026-01-02T03:04:03")}
    assert "| reader | clean | 3 | **2** | 2026-01-02T03:04:03 |" in table([made[-1]], FAMILIES, counted)


def test_looks_are_counted_once_also_by_a_page_that_is_written_again(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- table -->\n<!-- /table -->\n", encoding="utf-8")
    made = _looks_at(Outcome.VOID, Outcome.CLEAN, Outcome.VOID, Outcome.CLEAN)
    for log in (made[:2], made[:2], made, []):  # in the end the log is gone
        put_into(page, table([CLEAN], FAMILIES, looks(log, read_looks(page))))

    assert read_looks(page) == {"reader": Looks(4, 2, "2026-01-02T03:04:03")}


@pytest.mark.parametrize(("told", "unclean"), [("clean", 0), ("void: it found x", 1)])
def test_page_that_did_not_count_is_read(tmp_path: Path, told: str, unclean: int) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"<!-- table -->\n| reader | {told} | 2 | 0123456 |\n<!-- /table -->\n", encoding="utf-8")

    assert read_looks(page) == {"reader": Looks(1, unclean)}
    assert [one.detector for one in read(page)] == ["reader"]


def test_page_of_the_documentation_is_read_as_it_is_written() -> None:
    there = read(ROOT / PAGE)

    assert len({one.family for one in there}) > 20
    assert table(there, [_family(one.family) for one in there if not one.is_control]).startswith(
        summary(there)
    )
