"""Temporary folders: gone with their holders, at the latest when the next one comes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rehearsal.core.temporary import sweep, temporary_folder

CHECKOUT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys
from rehearsal.core.temporary import temporary_folder
with temporary_folder() as folder:
    (folder / "token").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for temporary folders that is the test's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@contextmanager
def _holder() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT / "harness")}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())


def test_folder_is_its_user_s_alone_and_gone_afterwards() -> None:
    with temporary_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_folder_of_a_killed_process_is_removed_by_the_next() -> None:
    with _holder() as (process, left):
        process.kill()
    assert (left / "token").exists()

    with temporary_folder():
        assert not left.exists()


def test_folder_of_a_living_process_is_left_alone() -> None:
    with _holder() as (_, held):
        assert sweep() == []
        assert (held / "token").exists()


def test_folder_that_is_just_being_made_is_left_alone(place: Path) -> None:
    (place / "rehearsal-held-new").mkdir()
    assert sweep() == []
