"""What is planted, what was seen of it, and how a cause may be named. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random

from rehearsal.core.errors import HarnessError


class Cost(StrEnum):
    """What it takes to look."""

    DOCUMENT = "document"  # seconds
    SERVICE = "service"  # a service as a process, with real dependencies: minutes
    CLUSTER = "cluster"  # a deployment of the copy: minutes


@dataclass(frozen=True, slots=True)
class Named:
    """What a check that does not hold named."""

    check: str  # its id
    subject: str

    def __str__(self) -> str:
        return f"{self.check} {self.subject}"


@dataclass(frozen=True, slots=True)
class Cause:
    """What is wrong: any of `checks` may name it, with all of `names` in its subject."""

    checks: frozenset[str]
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([" or ".join(sorted(self.checks)), *self.names])

    def is_named_by(self, one: Named) -> bool:
        """Return whether a finding names this cause; a name counts as a whole only."""
        return one.check in self.checks and all(_has(one.subject, name) for name in self.names)


@dataclass(frozen=True, slots=True)
class Planted:
    """A defect where it was planted."""

    site: str  # the place and the change, in words
    cause: Cause


@dataclass(frozen=True, slots=True)
class Seen:
    """What a detector said of a copy."""

    exit_code: int
    named: tuple[Named, ...] = ()  # what does not hold
    blind: tuple[Named, ...] = ()  # what could not be looked at
    said: str = ""  # the first finding's sentence, or why there is none


Plant = Callable[[Path, Random], Planted]


@dataclass(frozen=True, slots=True)
class Family:
    """Defects of one kind; `plant` breaks a copy at a place that is drawn."""

    name: str
    area: str
    magnitude: str  # what is planted, in words, and how large it is
    detector: str
    plant: Plant

    def draw(self, seed: str) -> Random:
        """Return the source of all that is drawn for this family from a seed."""
        return Random(f"{seed}:{self.name}")  # noqa: S311 - a place to plant, no secret


class PlantError(HarnessError):
    """A defect that cannot be planted: the tree has changed, and nobody would have noticed."""

    def __init__(self, family: str, why: str) -> None:
        super().__init__(
            "PLANT_REFUSED",
            f"{family} cannot be planted: {why}",
            hint="Make it fit what it is to break, or take its family out.",
        )


def _has(subject: str, name: str) -> bool:
    # `POST /api/orders` is not named by `POST /api/orders/{order_id}`.
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w/-])", subject) is not None
