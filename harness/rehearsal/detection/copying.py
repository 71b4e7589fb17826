"""A copy of a commit in which defects are planted: a clone, as somebody else would have it.

The checkout itself is never touched. A patch that does not apply any more is an error, by its name.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from rehearsal.core.errors import ConfigurationError
from rehearsal.core.processes import Completed, ProcessFailedError, run
from rehearsal.detection.model import PlantError

_GIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Copy:
    """A clone of one commit."""

    root: Path
    commit: str

    @classmethod
    def make(cls, origin: Path, target: Path, commit: str) -> Copy:
        """Clone `origin` into `target` at `commit`; what a killed session left there goes first."""
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        _git(target.parent, "clone", "--quiet", "--no-checkout", str(origin), str(target))
        _git(target, "checkout", "--quiet", "--detach", commit)
        return cls(target, commit)

    def mend(self) -> None:
        """Take out whatever was planted; what git ignores, such as byte code, stays."""
        _git(self.root, "reset", "--quiet", "--hard", self.commit)
        _git(self.root, "clean", "--quiet", "-fd")

    def changed(self) -> list[str]:
        """Return the files that differ from the commit."""
        return [line[3:] for line in _git(self.root, "status", "--porcelain").output.splitlines()]


def apply(root: Path, patch: Path) -> None:
    """Apply a patch to a tree. Raises PlantError when it does not apply."""
    try:
        _git(root, "apply", str(patch))
    except ProcessFailedError as error:
        raise PlantError(patch.stem, f"{patch.name} does not apply: {error.tail}") from error


def revision(root: Path, *, may_be_changed: bool = False) -> tuple[str, str]:
    """Return the commit and the tree of a checkout. Raises ConfigurationError when it has changes."""
    try:
        changed = _git(root, "status", "--porcelain").output.strip()
        commit, tree = _git(root, "rev-parse", "HEAD", "HEAD^{tree}").output.split()
    except ProcessFailedError as error:
        raise ConfigurationError(
            "DETECTION_OUTSIDE_GIT", f"{root} is no git checkout: {error.tail}", hint="Use a clone."
        ) from error
    if changed and not may_be_changed:
        raise ConfigurationError(
            "DETECTION_CHANGED",
            "the tree has changes that are not committed: defects are planted in a copy of a commit",
            hint="Commit them, or use a clone.",
        )
    return commit, tree


def _git(folder: Path, *arguments: str) -> Completed:
    return run(["git", "-C", str(folder), *arguments], timeout_seconds=_GIT_SECONDS)
