"""The folder of a run, `runs/<utc>-<sha7>/`, and what stands fast when it begins."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from rehearsal.core.errors import ConfigurationError
from rehearsal.core.processes import ProcessFailedError, run

FOLDER = "runs"
EVENTS = "events.ndjson"
MARK = "not-redacted.txt"
_MARKED = """This run is not over, or it was killed: its files may hold secrets.
`rehearsal undo` takes them out of the files of a run that was killed; so does the next run, before it begins.
"""
_GIT_SECONDS = 20.0
_GIB = 1 << 30


def create(root: Path, sha: str, now: datetime | None = None) -> Path:
    """Make a new run's folder and return it; it is marked as one whose files may hold secrets."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    name = f"{stamp}-{sha[:7] or 'no-git'}"
    for number in range(1, 100):
        folder = root / FOLDER / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue  # another run began in the same second
        (folder / MARK).write_text(_MARKED, encoding="utf-8")
        return folder
    raise ConfigurationError("RUN_FOLDER", f"{name} exists already", hint="Look into runs/.")


def find(root: Path, name: str = "") -> Path:
    """Return a run's folder by its name or path, the newest one without a name."""
    runs = root / FOLDER
    if not name:
        every = sorted(path.parent for path in runs.glob(f"*/{EVENTS}"))
        if every:
            return every[-1]
        raise ConfigurationError("RUN_NONE", f"there is no run in {runs}", hint="`rehearsal e2e` makes one.")
    for folder in (Path(name), runs / name):
        if (folder / EVENTS).is_file():
            return folder
    raise ConfigurationError(
        "RUN_UNKNOWN", f"there is no run {name!r}", hint=f"`ls {runs}` shows those that are there."
    )


def marked(root: Path) -> list[Path]:
    """Return the folders of runs whose files may hold secrets, the oldest first."""
    return sorted(path.parent for path in (root / FOLDER).glob(f"*/{MARK}"))


def revision(root: Path) -> tuple[str, bool]:
    """Return the commit's hash and whether the tree differs from it; no hash outside of git."""
    try:
        sha = _git(root, "rev-parse", "HEAD").strip()
        return sha, bool(_git(root, "status", "--porcelain").strip())
    except ProcessFailedError:
        return "", False


def machine() -> str:
    """Return what the run's numbers were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def _git(root: Path, *arguments: str) -> str:
    return run(["git", "-C", str(root), *arguments], timeout_seconds=_GIT_SECONDS).output
