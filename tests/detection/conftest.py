"""A small repository, and detectors that see what they are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rehearsal.core.processes import run
from rehearsal.core.verdicts import ExitCode
from rehearsal.detection.model import Cost, Named, Seen

CLEAN = Seen(ExitCode.PASS)
Look = Callable[[str], Seen]


@dataclass
class FakeDetector:
    """Says of a copy whatever it is told to say of its file's text."""

    says: Look
    cost: Cost = Cost.DOCUMENT
    looked: list[str] = field(default_factory=list)
    put_backs: int = 0

    def look(self, root: Path) -> Seen:
        """Read the copy's only file."""
        text = (root / "file.txt").read_text(encoding="utf-8")
        self.looked.append(text)
        return self.says(text)

    def put_back(self) -> None:
        """Count."""
        self.put_backs += 1


def finds_what_is_broken(text: str) -> Seen:
    """Name the file when it is not as it was."""
    return CLEAN if text == "sound\n" else Seen(ExitCode.FAIL, (Named("some.check", "file"),), said="broken")


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody."""
    who = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")
    return run(["git", "-C", str(folder), *who, *arguments], timeout_seconds=60).output


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """Return a repository with one commit of one file."""
    root = tmp_path / "origin"
    root.mkdir()
    (root / "file.txt").write_text("sound\n", encoding="utf-8")
    (root / ".gitignore").write_text("/runs/\n", encoding="utf-8")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "All")):
        git(root, *arguments)
    return root
