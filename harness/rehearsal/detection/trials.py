"""The log of trials: what was planted in which tree, what was named, what it is worth.

Only ever added to; a session goes on where the last one was cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rehearsal.core import records
from rehearsal.detection.scoring import Outcome

LOG: Final = Path("runs", "detection.ndjson")
CONTROL: Final = "control"  # the family of a look at an unbroken copy


@dataclass(frozen=True, slots=True)
class Trial:
    """One line of the log."""

    at: str  # ISO 8601
    tree: str  # git's hash of the whole tree
    commit: str
    seed: str
    family: str
    detector: str
    site: str
    wanted: str  # the checks and names that would name it
    outcome: Outcome
    score: float
    named: tuple[str, ...]
    blind: tuple[str, ...]  # what could not be looked at
    said: str
    exit_code: int
    seconds: float

    @property
    def is_control(self) -> bool:
        """Whether nothing was planted."""
        return self.family == CONTROL

    @property
    def is_done(self) -> bool:
        """Whether looking again would tell nothing new."""
        return self.outcome in (Outcome.FOUND, Outcome.MISSED, Outcome.CLEAN)


@dataclass(frozen=True, slots=True)
class Looks:
    """Every look of a detector at an unbroken tree; a control is made anew until it is clean."""

    looked: int = 0
    unclean: int = 0  # of them; one that finds something now and then would vanish behind the next clean one
    until: str = ""  # ISO 8601, of the newest that is counted


def append(log: Path, one: Trial) -> None:
    """Add a trial; it is on disk when this returns."""
    records.append(log, asdict(one))


def read(log: Path) -> list[Trial]:
    """Return all trials. Raises HarnessError for a line that is none."""
    return [_trial(log, number, content) for number, content in records.read(log)]


def latest(trials: Iterable[Trial], *, tree: str, seed: str) -> dict[tuple[str, str], Trial]:
    """Return the last trial of each family and detector in one tree with one seed."""
    return {(one.family, one.detector): one for one in trials if (one.tree, one.seed) == (tree, seed)}


def newest(trials: Iterable[Trial]) -> dict[tuple[str, str], Trial]:
    """Return the last trial of each family and detector, whatever its tree."""
    return {(one.family, one.detector): one for one in trials}


def looks(trials: Iterable[Trial], counted: Mapping[str, Looks]) -> dict[str, Looks]:
    """Return the looks of each detector: those that were counted before, and what is newer in the trials."""
    found = dict(counted)
    for one in sorted(trials, key=lambda one: one.at):
        known, before = (all_.get(one.detector, Looks()) for all_ in (found, counted))
        if one.is_control and one.outcome is not Outcome.NOT_LOOKED and one.at > before.until:
            unclean = known.unclean + (one.outcome is not Outcome.CLEAN)
            found[one.detector] = Looks(known.looked + 1, unclean, one.at)
    return found


def _trial(log: Path, number: int, content: Any) -> Trial:
    try:
        lists = {name: tuple(content[name]) for name in ("named", "blind")}
        return Trial(**{**content, **lists, "outcome": Outcome(content["outcome"])})
    except (ValueError, TypeError, KeyError) as error:
        raise records.broken(log, number, error) from error
