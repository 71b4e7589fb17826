"""Clean runs, again and again: how often does a run find something where there is nothing?

A log has one line for each run and is only ever added to. A run whose stages came to their end is a try; one
that found something, or could not look, is a false finding, because nothing was broken. What ended for the
machine's sake, or in the harness, says nothing about findings and is counted apart, unless a check had failed
by then: else who interrupts a run at the sight of a finding would have it forgotten. So would who kills it: a
run that has begun is noted beside the log until it has its line. Pure, but for these two files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path
from typing import Any, Final

from rehearsal.core import records
from rehearsal.core.verdicts import Ending

LOG: Final = Path("runs", "soak.ndjson")
BEGUN: Final = ".begun"  # beside the log
_CONFIDENCE: Final = 0.95
_STEPS: Final = 60  # of the bisection: more than a float's precision
_TRIES: Final = frozenset({Ending.PASS, Ending.FAIL, Ending.INVALID})


@dataclass(frozen=True, slots=True)
class SoakRun:
    """One line of the log."""

    at: str  # ISO 8601
    tree: str  # git's hash of the whole tree
    profile: str
    timing: str
    machine: str
    run: str  # the run's folder; empty when it ended before it had one
    seed: int
    ending: Ending
    seconds: float
    findings: tuple[str, ...]  # check and subject
    error: str = ""  # what ended it without a report
    failed: int = 0  # checks that did not hold, of the findings

    @property
    def is_try(self) -> bool:
        """Whether it says something about the product."""
        return self.ending in _TRIES or self.failed > 0


@dataclass(frozen=True, slots=True)
class Soaked:
    """What all runs of a tree show."""

    tries: int
    false: int
    broken: int  # runs without a verdict about the product

    @property
    def bound(self) -> float:
        """The upper 95 % bound of the rate of false findings."""
        return upper_bound(self.false, self.tries)

    def __str__(self) -> str:
        rate = (
            f"the rate of false findings is below {self.bound:.1%} (95 %)"
            if self.tries
            else "nothing is known"
        )
        counts = f"{self.tries} clean runs, {self.false} with a false finding, {self.broken} broken off"
        return f"{counts}: {rate}"


def append(log: Path, one: SoakRun) -> None:
    """Add a line; it is on disk when this returns."""
    records.append(log, asdict(one))


def begin(log: Path, one: SoakRun) -> None:
    """Note that a run has begun, as it is to be listed if nobody comes to say how it ended."""
    log.parent.mkdir(parents=True, exist_ok=True)
    part = _begun(log).with_suffix(".part")
    part.write_text(json.dumps(asdict(one)), encoding="utf-8")
    part.replace(_begun(log))


def end(log: Path) -> None:
    """Forget that a run has begun: it has its line."""
    _begun(log).unlink(missing_ok=True)


def left(log: Path) -> SoakRun | None:
    """Return the run that was killed before it had its line, if there is one."""
    try:
        content = json.loads(_begun(log).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    one = _run_of(_begun(log), 1, content)
    # Killed between the two: it has its line.
    return None if any(other.run == one.run for other in read(log)) else one


def _begun(log: Path) -> Path:
    return log.with_name(f"{log.name}{BEGUN}")


def read(log: Path) -> list[SoakRun]:
    """Return the log's runs. Raises HarnessError for a line that is none; one may be cut off."""
    return [_run_of(log, number, content) for number, content in records.read(log)]


def _run_of(log: Path, number: int, content: Any) -> SoakRun:
    try:
        changed = {"ending": Ending(content["ending"]), "findings": tuple(content["findings"])}
        return SoakRun(**{**content, **changed})
    except (ValueError, TypeError, KeyError) as error:
        raise records.broken(log, number, error) from error


def of_kind(runs: Iterable[SoakRun], *, tree: str, profile: str, timing: str) -> list[SoakRun]:
    """Return the runs of one tree under the same conditions."""
    return [one for one in runs if (one.tree, one.profile, one.timing) == (tree, profile, timing)]


def soaked(runs: Sequence[SoakRun]) -> Soaked:
    """Return what runs show."""
    tries = [one for one in runs if one.is_try]
    return Soaked(len(tries), sum(one.ending is not Ending.PASS for one in tries), len(runs) - len(tries))


def upper_bound(found: int, tries: int, confidence: float = _CONFIDENCE) -> float:
    """Return the upper bound of a rate of which so many were found in so many tries (Clopper and Pearson)."""
    if found >= tries:
        return 1.0
    low, high = found / tries, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        at_most = sum(comb(tries, k) * middle**k * (1 - middle) ** (tries - k) for k in range(found + 1))
        low, high = (middle, high) if at_most > 1 - confidence else (low, middle)
    return high
