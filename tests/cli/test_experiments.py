"""The chaos stage's experiments are those that docs/reference/experiments.md lists."""

from __future__ import annotations

import re
from pathlib import Path

from rehearsal.cli.judging_assembly import experiments
from rehearsal.core import catalogue

ROOT = Path(__file__).parents[2]


def test_page_lists_every_experiment_in_its_order() -> None:
    page = (ROOT / "docs" / "reference" / "experiments.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+-\S+) \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)
    known = catalogue.load(ROOT)
    thorough = [(one.id, one.title) for one in experiments(known, thorough=True)]
    usual = [(one.id, one.title) for one in experiments(known, thorough=False)]

    assert [(id_, title) for id_, title, _ in rows] == thorough
    assert [(id_, title) for id_, title, when in rows if when == "every run"] == usual
