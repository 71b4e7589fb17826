"""Where the harness keeps things on the machine: cache, state, locks, logs.

Nothing is kept inside the checkout but `runs/`. The cluster is one per machine, so its state is shared by all
checkouts of the project.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rehearsal.core.errors import ConfigurationError

CATALOGUE_FILE = "rehearsal.toml"
CONTEXTS = "contexts"  # below the state: a folder for each cluster that is not the project's own


@dataclass(frozen=True, slots=True)
class Paths:
    """Folders of one user on one machine."""

    root: Path  # the checkout
    cache: Path  # supplies; safe to delete when nothing runs
    state: Path  # locks, logs, credentials, and what is known of the cluster
    context: str = ""  # of a cluster that the project did not make; empty for its own

    @property
    def cluster(self) -> Path:
        """What is known of the cluster: kubeconfig, record, undo ledger, what was deployed."""
        return self.state / CONTEXTS / quote(self.context, safe="") if self.context else self.state

    @property
    def ledger(self) -> Path:
        """What has been changed on the cluster and must be undone."""
        return self.cluster / "ledger"

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig with the cluster's context and no other."""
        return self.cluster / "kubeconfig"

    @property
    def logs(self) -> Path:
        """Logs of builds and of background programs."""
        return self.state / "logs"

    @property
    def locks(self) -> Path:
        """Lock files."""
        return self.state / "locks"


def for_checkout(root: Path) -> Paths:
    """Return the folders for a checkout, by the XDG base directory rules."""
    home = Path.home()
    cache = _base("XDG_CACHE_HOME", home / ".cache")
    state = _base("XDG_STATE_HOME", home / ".local" / "state")
    return Paths(root=root, cache=cache / "mambogo-rehearsal", state=state / "mambogo-rehearsal")


def _base(variable: str, default: Path) -> Path:
    named = Path(os.environ.get(variable, ""))
    # The rules say that a relative path is to be ignored; it would name another folder in each directory.
    return named if named.is_absolute() else default


def find_root(start: Path) -> Path:
    """Return the nearest folder at or above `start` that holds the catalogue."""
    for folder in (start, *start.parents):
        if (folder / CATALOGUE_FILE).is_file():
            return folder
    raise ConfigurationError(
        "CATALOGUE_MISSING",
        f"no {CATALOGUE_FILE} in {start} or above it",
        hint="Run from inside a checkout of the project.",
    )
