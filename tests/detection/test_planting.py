"""What is planted in this tree: it applies where the seed says, and what it breaks is found."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rehearsal.contract.committed import judge_committed
from rehearsal.detection import scoring
from rehearsal.detection.families import ALL
from rehearsal.detection.model import Family, Named, Seen
from rehearsal.detection.planting import documents, events
from rehearsal.detection.scoring import Outcome

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("contract-tests", "k8s/base", "services", "rehearsal.toml")
DRAWN = (*documents.families(), *events.families())
_IGNORED = shutil.ignore_patterns("__pycache__", ".mypy_cache", ".venv", "*.egg-info")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of what defects are planted in."""
    for name in PARTS:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=_IGNORED)
        else:
            shutil.copy(source, target)
    return tmp_path


def _contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_names_are_of_one_family_each() -> None:
    assert len({one.name for one in ALL}) == len(ALL)


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_defect_is_planted_where_its_seed_says(family: Family, copy: Path) -> None:
    before = _contents(copy)
    first = family.plant(copy, family.draw("7"))
    once = _contents(copy)
    for name, content in before.items():
        (copy / name).write_bytes(content)
    second = family.plant(copy, family.draw("7"))

    assert first == second
    assert _contents(copy) == once != before


@pytest.mark.parametrize("seed", ["1", "2"])
@pytest.mark.parametrize("family", DRAWN, ids=lambda family: family.name)
def test_break_of_a_contract_is_found_wherever_it_is_drawn(family: Family, seed: str, copy: Path) -> None:
    planted = family.plant(copy, family.draw(seed))
    bad = [one for one in judge_committed(copy, datetime.now(UTC).date()) if one.verdict == "FAIL"]
    seen = Seen(1, tuple(Named(one.id, one.subject) for one in bad))

    assert scoring.score(seen, planted.cause).outcome is Outcome.FOUND
