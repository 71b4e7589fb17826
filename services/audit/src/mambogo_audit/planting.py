"""Planted bugs: the audit has to find each, by an invariant that it names, and nothing where none is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rehearsal.core.verdicts import Verdict

from mambogo_audit.killing import CONSUMER
from mambogo_audit.parts import Ground, parts_on
from mambogo_audit.planning import RUSH_EVERY
from mambogo_audit.running import Options, Rehearsal
from mambogo_audit.tree import Tree

PATCHES: Final = Path(__file__).parents[2] / "planted"
# Of a round.
_ORDERS: Final = 64
_CLIENTS: Final = 16
_PASSES: Final = (1, 6)


@dataclass(frozen=True, slots=True)
class Bug:
    """A patch, the invariants of which one has to find it, and the deaths without which it does not show."""

    name: str
    expected: frozenset[str]
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rush_every: int = RUSH_EVERY
    # Of orders; most show in the first one.
    rounds: int = 4
    # How often each of `places` kills in a round.
    deaths: int = 1

    @property
    def patch(self) -> Path | None:
        """None for no bug at all."""
        return PATCHES / f"{self.name}.patch" if self is not NONE else None


NONE: Final = Bug(
    "none",
    frozenset(),
    {"order": CONSUMER, "inventory": CONSUMER, "payment": ("payment.captured",)},
    rounds=2,
)
BUGS: Final = (
    Bug("dual-write", frozenset({"I5"})),
    # Only a batch with a new order in it shows it: what else comes twice finds its reservation moved on.
    Bug("no-inbox", frozenset({"I3", "I6"}), {"inventory": ("consumer.applied",)}, deaths=6),
    Bug("ack-before-effect", frozenset({"I14"}), {"inventory": ("consumer.effected",)}),
    Bug("non-atomic-reserve", frozenset({"I3", "I13"}), rush_every=2),
    Bug("capture-with-new-key", frozenset({"I4", "I6"}), {"payment": ("payment.captured",)}),
    Bug("compensation-twice", frozenset({"I3", "I6"})),
    Bug("lost-cancel", frozenset({"I10"})),
    Bug("price-from-client", frozenset({"I4"})),
    Bug("illegal-transition", frozenset({"I8"})),
)


@dataclass(frozen=True, slots=True)
class Search:
    """What the audit said of a copy, after how many orders."""

    bug: Bug
    orders: int
    broken: frozenset[str]
    unseen: frozenset[str]
    shown: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """Found by one of its invariants; or, without a bug, everything looked at and nothing found."""
        if self.bug is NONE:
            return not self.broken and not self.unseen
        return bool(self.broken & self.bug.expected)

    def __str__(self) -> str:
        found = ", ".join(sorted(self.broken)) or "nothing"
        wanted = " or ".join(sorted(self.bug.expected)) or "nothing"
        unseen = f", not looked at: {', '.join(sorted(self.unseen))}" if self.unseen else ""
        verdict = "as it should" if self.is_right else f"EXPECTED {wanted}"
        return f"{self.bug.name}: {self.orders} orders, found {found}{unseen} ({verdict})"


def search(ground: Ground, bug: Bug, folder: Path, seed: int) -> Search:
    """Run the audit on a copy with the bug, round by round until it is found; without one, all rounds."""
    folder.mkdir(parents=True)
    tree = Tree.own().planted(bug.patch, folder / "services")
    with parts_on(ground, tree, folder) as parts:
        options = Options(
            orders=_ORDERS,
            clients=_CLIENTS,
            seed=seed,
            places=bug.places,
            passes=_PASSES,
            times=bug.deaths,
            rush_every=bug.rush_every,
            more_rounds=bug.rounds - 1,
        )
        return asyncio.run(_search(Rehearsal(parts, tree, options), bug))


async def _search(rehearsal: Rehearsal, bug: Bug) -> Search:
    async with rehearsal.opened():
        for _ in range(bug.rounds):
            await rehearsal.round()
            found = await rehearsal.judge(whole_quiet=False)
            if bug is not NONE and found.broken & bug.expected:
                break
    named = bug.expected or found.broken
    return Search(
        bug,
        rehearsal.orders,
        found.broken,
        frozenset(one.invariant.id for one in found.results if one.verdict is Verdict.INVALID),
        tuple(
            str(one.violations[0]) for one in found.results if one.invariant.id in named and one.violations
        ),
    )
