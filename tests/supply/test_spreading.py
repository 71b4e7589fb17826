"""Which file systems get their folders spread, and that they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rehearsal.core import processes
from rehearsal.supply.spreading import lacks_journal, spread


def _machine(root: Path, folder: Path, *, ext4: bool = True, journal: str | None = None) -> Path:
    """Return the root of a machine that has `folder` on vda1."""
    device = folder.stat().st_dev
    blocks = root / "sys/dev/block"
    blocks.mkdir(parents=True)
    (blocks / f"{os.major(device)}:{os.minor(device)}").symlink_to("../../devices/virtio1/block/vda/vda1")
    (root / "proc/fs/jbd2").mkdir(parents=True)
    if ext4:
        (root / "proc/fs/ext4/vda1").mkdir(parents=True)
    if journal:
        (root / "proc/fs/jbd2" / journal).mkdir()
    return root


def test_ext4_without_a_journal(tmp_path: Path) -> None:
    assert lacks_journal(tmp_path, _machine(tmp_path / "root", tmp_path))


def test_ext4_with_a_journal(tmp_path: Path) -> None:
    assert not lacks_journal(tmp_path, _machine(tmp_path / "root", tmp_path, journal="vda1-8"))


def test_the_journal_of_another_device(tmp_path: Path) -> None:
    assert lacks_journal(tmp_path, _machine(tmp_path / "root", tmp_path, journal="vda-8"))


def test_another_file_system(tmp_path: Path) -> None:
    assert not lacks_journal(tmp_path, _machine(tmp_path / "root", tmp_path, ext4=False))


def test_a_file_system_without_a_device(tmp_path: Path) -> None:
    assert not lacks_journal(tmp_path, tmp_path / "empty")


def test_folders_that_are_there_are_spread(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not lacks_journal(tmp_path):
        pytest.skip("needs root, and ext4 without a journal")
    (tmp_path / "volumes").mkdir()

    spread(tmp_path)

    said = processes.run(("lsattr", "-d", str(tmp_path / "volumes")), timeout_seconds=10.0).output
    assert "T" in said.split()[0]
    assert not (tmp_path / "overlay2").exists()
