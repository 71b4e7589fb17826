"""The build digest tells sources apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from mambogo_echo.build import source_digest


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "app.py").write_text("A = 1\n")
    (tmp_path / "inner" / "more.py").write_text("B = 2\n")
    return tmp_path


def test_the_same_files_give_the_same_digest(package: Path) -> None:
    assert source_digest(package) == source_digest(package)


def test_a_changed_line_changes_the_digest(package: Path) -> None:
    before = source_digest(package)
    (package / "inner" / "more.py").write_text("B = 3\n")
    assert source_digest(package) != before


def test_a_renamed_file_changes_the_digest(package: Path) -> None:
    before = source_digest(package)
    (package / "app.py").rename(package / "apq.py")
    assert source_digest(package) != before


def test_a_line_that_moves_from_one_file_to_the_next_changes_the_digest(package: Path) -> None:
    before = source_digest(package)
    (package / "app.py").write_text("")
    (package / "inner" / "more.py").write_text("A = 1\nB = 2\n")
    assert source_digest(package) != before


def test_times_and_byte_code_do_not_count(package: Path) -> None:
    before = source_digest(package)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "app.cpython-311.pyc").write_bytes(b"\0")
    (package / "app.py").touch()
    assert source_digest(package) == before
