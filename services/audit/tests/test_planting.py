"""The planted bugs: each has its patch, which still applies to what is here, and its invariant."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.chaos.proving.audit import CHECKERS

from mambogo_audit.killing import FAILPOINTS
from mambogo_audit.planting import BUGS, NONE, PATCHES, Bug, Search
from mambogo_audit.tree import PatchError, Tree


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_patch_applies_to_a_copy(bug: Bug, tmp_path: Path) -> None:
    tree = Tree.own().planted(bug.patch, tmp_path / "services")
    assert changed(tree) != set()


def test_a_copy_without_a_bug_is_the_same(tmp_path: Path) -> None:
    assert changed(Tree.own().planted(None, tmp_path / "services")) == set()


def test_a_patch_that_does_not_apply_says_so(tmp_path: Path) -> None:
    patch = tmp_path / "stale.patch"
    patch.write_text(
        "--- a/services/order/src/mambogo_order/main.py\n+++ b/services/order/src/mambogo_order/main.py\n"
        "@@ -1,1 +1,1 @@\n-nothing like it\n+something else\n"
    )
    with pytest.raises(PatchError, match="stale"):
        Tree.own().planted(patch, tmp_path / "services")


def test_every_patch_is_tried() -> None:
    assert {path.stem for path in PATCHES.glob("*.patch")} == {bug.name for bug in BUGS}


@pytest.mark.parametrize("bug", [NONE, *BUGS], ids=lambda bug: bug.name)
def test_a_bug_names_invariants_and_failpoints_that_there_are(bug: Bug) -> None:
    assert bug.expected <= set(CHECKERS)
    assert all(set(places) <= set(FAILPOINTS[service]) for service, places in bug.places.items())


def test_a_bug_is_found_by_its_own_invariant_only() -> None:
    bug = Bug("some", frozenset({"I4"}))
    assert Search(bug, 9, frozenset({"I3", "I4"}), frozenset(), ()).is_right
    assert not Search(bug, 9, frozenset({"I3"}), frozenset(), ()).is_right


def test_without_a_bug_nothing_may_be_found_and_everything_looked_at() -> None:
    assert Search(NONE, 9, frozenset(), frozenset(), ()).is_right
    assert not Search(NONE, 9, frozenset(), frozenset({"I7"}), ()).is_right
    assert not Search(NONE, 9, frozenset({"I1"}), frozenset(), ()).is_right


def changed(tree: Tree) -> set[Path]:
    """Files of a copy that differ from those here."""
    here = Tree.own().services
    return {
        path
        for path in tree.services.rglob("*.py")
        if path.read_bytes() != (here / path.relative_to(tree.services)).read_bytes()
    }
