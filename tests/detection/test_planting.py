"""What is planted in this tree: it applies where the seed says, and what it breaks is found."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rehearsal.contract.committed import judge_committed
from rehearsal.detection import scoring
from rehearsal.detection.families import families
from rehearsal.detection.model import Family, Named, Seen
from rehearsal.detection.planting import documents, events, patches
from rehearsal.detection.scoring import Outcome

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "contract-tests",
    "k8s/base",
    *(f"services/{name}" for name in ("cart", "chassis", "gateway", "inventory", "order", "product")),
    "services/audit/planted",
    "rehearsal.toml",
)
ALL = families("7")
DRAWN = (*documents.families(), *events.families())
_IGNORED = shutil.ignore_patterns("__pycache__", ".mypy_cache", ".venv", "*.egg-info")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Return a copy of what defects are planted in, and its files as they are."""
    root = tmp_path_factory.mktemp("copy")
    for name in PARTS:
        source, target = ROOT / name, root / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=_IGNORED)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return root, _contents(root)


@pytest.fixture
def copy(sound: tuple[Path, dict[str, bytes]]) -> Iterator[Path]:
    """Return the copy, which is mended afterwards."""
    root, _ = sound
    yield root
    _mend(*sound)


def _contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _mend(root: Path, sound: dict[str, bytes]) -> None:
    for name, content in sound.items():
        path = root / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def test_names_are_of_one_family_each() -> None:
    assert len({one.name for one in ALL}) == len(ALL)


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_defect_is_planted_where_its_seed_says(
    family: Family, sound: tuple[Path, dict[str, bytes]], copy: Path
) -> None:
    first = family.plant(copy, family.draw("7"))
    once = _contents(copy)
    _mend(*sound)
    second = family.plant(copy, family.draw("7"))

    assert first == second
    assert _contents(copy) == once != sound[1]


@pytest.mark.parametrize(
    "variant", [one for _, _, variants in patches.KINDS for one in variants], ids=lambda one: one.patch
)
def test_patch_of_every_service_that_may_be_drawn_applies(
    variant: patches.Variant, sound: tuple[Path, dict[str, bytes]], copy: Path
) -> None:
    variant.plant(copy, families("7")[0].draw("7"))
    changed = {name for name, content in _contents(copy).items() if content != sound[1][name]}

    assert changed
    assert all(name.startswith(f"services/{variant.service}/src/") for name in changed)


def test_every_patch_is_planted() -> None:
    used = {one.patch for _, _, variants in patches.KINDS for one in variants}
    used |= {one.plant.patch.stem for one in patches.deployed() if isinstance(one.plant, patches.Deployed)}

    assert {path.stem for path in patches.PATCHES.glob("*.patch")} <= used


def test_seed_draws_the_service_of_a_patch() -> None:
    drawn = {one.detector for seed in "123456789" for one in families(seed) if one.name == "api-cursor"}

    assert drawn == {"fuzz-order", "fuzz-product"}


@pytest.mark.parametrize("seed", ["1", "2"])
@pytest.mark.parametrize("family", DRAWN, ids=lambda family: family.name)
def test_break_of_a_contract_is_found_wherever_it_is_drawn(family: Family, seed: str, copy: Path) -> None:
    planted = family.plant(copy, family.draw(seed))
    bad = [one for one in judge_committed(copy, datetime.now(UTC).date()) if one.verdict == "FAIL"]
    seen = Seen(1, tuple(Named(one.id, one.subject) for one in bad))

    assert scoring.score(seen, planted.cause).outcome is Outcome.FOUND
