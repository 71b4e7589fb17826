"""The chaos stage's experiments are those that docs/reference/experiments.md lists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rehearsal.cli.judging_assembly import choose, experiments
from rehearsal.core import catalogue
from rehearsal.core.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
USUAL = experiments(catalogue.load(ROOT), thorough=False)


def test_page_lists_every_experiment_in_its_order() -> None:
    page = (ROOT / "docs" / "reference" / "experiments.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+-\S+) \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)
    known = catalogue.load(ROOT)
    thorough = [(one.id, one.title) for one in experiments(known, thorough=True)]
    usual = [(one.id, one.title) for one in experiments(known, thorough=False)]

    assert [(id_, title) for id_, title, _ in rows] == thorough
    assert [(id_, title) for id_, title, when in rows if when == "every run"] == usual


def test_all_are_tried_unless_some_are_named() -> None:
    assert choose(USUAL, ()) == USUAL


def test_named_ones_are_tried_in_their_usual_order() -> None:
    chosen = choose(USUAL, ("outage-kafka", "kill-one-order-service"))
    assert [one.id for one in chosen] == ["kill-one-order-service", "outage-kafka"]


def test_unknown_one_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match="no experiment 'outage-moon'") as caught:
        choose(USUAL, ("outage-moon",))
    assert "outage-kafka" in caught.value.hint
