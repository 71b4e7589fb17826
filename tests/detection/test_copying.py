"""Copies: a clone of a commit, mended after each defect; a stale patch is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.core.errors import ConfigurationError
from rehearsal.detection.copying import Copy, apply, revision
from rehearsal.detection.model import PlantError

from tests.detection.conftest import git

_PATCH = "--- a/file.txt\n+++ b/file.txt\n@@ -1 +1 @@\n-{before}\n+broken\n"


@pytest.fixture
def copy(origin: Path, tmp_path: Path) -> Copy:
    """Return a copy of the small repository."""
    return Copy.make(origin, tmp_path / "copy", git(origin, "rev-parse", "HEAD").strip())


def test_copy_is_the_commit(copy: Copy) -> None:
    assert (copy.root / "file.txt").read_text(encoding="utf-8") == "sound\n"
    assert copy.changed() == []


def test_what_a_killed_session_left_goes(origin: Path, copy: Copy) -> None:
    (copy.root / "file.txt").write_text("broken\n", encoding="utf-8")
    again = Copy.make(origin, copy.root, copy.commit)

    assert again.changed() == []


def test_mended_copy_is_the_commit_again(copy: Copy) -> None:
    (copy.root / "file.txt").unlink()
    (copy.root / "new").mkdir()
    (copy.root / "new" / "other.txt").write_text("x", encoding="utf-8")
    assert len(copy.changed()) == 2
    copy.mend()

    assert copy.changed() == []


def test_patch_is_applied(copy: Copy, tmp_path: Path) -> None:
    patch = tmp_path / "some.patch"
    patch.write_text(_PATCH.format(before="sound"), encoding="utf-8")
    apply(copy.root, patch)

    assert (copy.root / "file.txt").read_text(encoding="utf-8") == "broken\n"


def test_patch_that_does_not_apply_any_more_is_named(copy: Copy, tmp_path: Path) -> None:
    patch = tmp_path / "stale.patch"
    patch.write_text(_PATCH.format(before="as it was long ago"), encoding="utf-8")

    with pytest.raises(PlantError, match=r"stale\.patch does not apply"):
        apply(copy.root, patch)


def test_tree_with_changes_is_refused(origin: Path) -> None:
    (origin / "new.txt").write_text("x", encoding="utf-8")

    with pytest.raises(ConfigurationError, match="not committed"):
        revision(origin)


def test_outside_of_git_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no git checkout"):
        revision(tmp_path)
