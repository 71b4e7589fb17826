"""A sample service killed at each failpoint loses and doubles nothing; with a planted bug it does, and shows
it.

A planted bug is a patch that is applied to a copy of the tree: one that no longer applies fails the test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase

from support.audit import FOR_GOOD, Evidence, audit
from support.campaign import LEDGER_PLACES, SHOP_PLACES, Campaign, Outcome, Tree

PLANTED: Final = Path(__file__).parent / "planted"
# The patch, and the promise that it breaks.
BUGS: Final = {
    "dual-write": "event-lost",
    "ack-before-effect": "effect-lost",
    "max-id-cursor": "event-lost",
    "no-inbox": "effect-doubled",
    "new-key-on-retry": "order-doubled",
    "check-then-insert": "order-doubled",
    "cached-500": "operation-unfinished",
    "commit-before-effect": "effect-lost",
}
# With this one the outbox stays empty, and the relay has nothing to do.
UNREACHABLE: Final = {"dual-write": "relay."}
# How often each place kills, where once may show nothing: the relay, killed as well, sends some events again,
# and with bad luck the very one that was lost.
ROUNDS: Final = {"ack-before-effect": 3}

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]


def assert_looked(outcome: Outcome) -> None:
    """The test could see: every place killed its process, and every mechanism had work to do."""
    assert set(outcome.crashes) == {*SHOP_PLACES, *LEDGER_PLACES}
    assert outcome.retried > 0
    assert outcome.replays > 0
    assert outcome.repeated_events > 0


def test_nothing_is_lost_or_doubled_over_two_thousand_operations(
    postgres_database: FreshDatabase, kafka_topics: TopicSpace, tmp_path: Path
) -> None:
    outcome = Campaign(Tree.own(), postgres_database, kafka_topics, tmp_path).run(operations=2000, rounds=2)
    assert_looked(outcome)
    assert len(outcome.evidence.answered) >= 2000
    assert audit(outcome.evidence) == []


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_by_name(
    bug: str, postgres_database: FreshDatabase, kafka_topics: TopicSpace, tmp_path: Path
) -> None:
    tree = Tree.own().planted(PLANTED / f"{bug}.patch", tmp_path / "tree")

    def is_found(evidence: Evidence) -> bool:
        return BUGS[bug] in FOR_GOOD and BUGS[bug] in broken(evidence)

    outcome = Campaign(tree, postgres_database, kafka_topics, tmp_path).run(
        operations=200, rounds=ROUNDS.get(bug, 1), unreachable=UNREACHABLE.get(bug), until=is_found
    )
    assert BUGS[bug] in broken(outcome.evidence)


def broken(evidence: Evidence) -> set[str]:
    """The promises that are, by name."""
    return {finding.invariant for finding in audit(evidence)}


def test_every_planted_bug_is_tried() -> None:
    assert {path.stem for path in PLANTED.glob("*.patch")} == set(BUGS)
