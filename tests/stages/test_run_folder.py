"""Run folders: made once, found by name, path or as the newest."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from rehearsal.core.errors import ConfigurationError
from rehearsal.core.processes import run
from rehearsal.stages import run_folder

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _run(root: Path, hour: int, sha: str = "abcdef123") -> Path:
    folder = run_folder.create(root, sha, NOW.replace(hour=hour))
    (folder / run_folder.EVENTS).touch()
    return folder


def test_folder_is_named_by_time_and_commit(tmp_path: Path) -> None:
    assert run_folder.create(tmp_path, "abcdef123", NOW) == tmp_path / "runs" / "20260102T030405Z-abcdef1"


def test_folder_outside_of_git_says_so(tmp_path: Path) -> None:
    assert run_folder.create(tmp_path, "", NOW).name == "20260102T030405Z-no-git"


def test_second_run_of_a_second_has_a_folder_of_its_own(tmp_path: Path) -> None:
    first, second = (run_folder.create(tmp_path, "abcdef123", NOW) for _ in range(2))

    assert first != second


def test_newest_run_is_found_without_a_name(tmp_path: Path) -> None:
    _run(tmp_path, 1)
    newest = _run(tmp_path, 2)

    assert run_folder.find(tmp_path) == newest


def test_run_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    folder = _run(tmp_path, 1)
    _run(tmp_path, 2)

    assert run_folder.find(tmp_path, folder.name) == run_folder.find(tmp_path, str(folder)) == folder


@pytest.mark.parametrize("name", ["", "20260102T000000Z-fffffff"])
def test_run_that_is_not_there_is_an_error_of_usage(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError):
        run_folder.find(tmp_path, name)


def test_revision_outside_of_git_is_empty(tmp_path: Path) -> None:
    assert run_folder.revision(tmp_path) == ("", False)


def test_revision_says_whether_the_tree_was_changed(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        run(["git", "-C", str(tmp_path), *identity, *arguments], timeout_seconds=60)

    git("init")
    git("commit", "--allow-empty", "-m", "first")
    sha, changed = run_folder.revision(tmp_path)
    (tmp_path / "new").touch()

    assert (len(sha), changed) == (40, False)
    assert run_folder.revision(tmp_path) == (sha, True)
