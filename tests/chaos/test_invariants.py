"""The audit as checks: one per invariant, each with its page; nothing that was not looked at passes."""

from __future__ import annotations

import json

from rehearsal.chaos.checks import AUDIT
from rehearsal.chaos.invariants import document, judge_audit, unaudited
from rehearsal.chaos.proving.audit import CHECKERS, audit
from rehearsal.chaos.proving.collecting import Scope, collect
from rehearsal.core.verdicts import Verdict

from tests.chaos.books import TIME_NS, Books
from tests.chaos.proving.test_scope import _history

_OURS = _history(("o-1", "k-1"))


def _books() -> Books:
    made = Books()
    made.enter("o-1", "us", "k-1")
    return made


def test_every_invariant_has_a_check() -> None:
    assert set(AUDIT) == set(CHECKERS)


def test_nothing_audited_is_invalid_throughout() -> None:
    checks = list(unaudited("the broker is away"))

    assert {one.verdict for one in checks} == {Verdict.INVALID}
    assert {one.id for one in checks} == {kind.id for kind in AUDIT.values()}


def test_sound_books_pass_and_what_was_not_looked_at_does_not() -> None:
    snapshot = collect(_books(), quiet_seconds=90.0, raced={}, scope=Scope(None, TIME_NS), keys_by_user=False)
    checks = {one.id: one.verdict for one in judge_audit(audit(_OURS, snapshot), ())}

    assert checks.pop("chaos.last_unit") is Verdict.INVALID  # no product was raced for
    assert set(checks.values()) == {Verdict.PASS}


def test_finding_names_order_and_rule_and_its_evidence_shows_them() -> None:
    books = _books()
    books.entries.append(books.entries[0])
    snapshot = collect(books, quiet_seconds=90.0, raced={}, keys_by_user=False)
    found = audit(_OURS, snapshot)
    (failed,) = (one for one in judge_audit(found, ("chaos/audit.json",)) if one.id == "chaos.money")

    assert "charged-twice" in failed.sentence
    assert "o-1" in failed.observed
    kept = json.loads(json.dumps(document(found, _OURS, snapshot)))
    (money,) = (one for one in kept["invariants"] if one["id"] == "I4")
    assert any("kind='capture'" in line for line in money["violations"][0]["shown_by"])
