"""Findings as checks: a failed one for each operation with breaks, an invalid one for each with doubts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rehearsal.contract.accepting import AcceptedBreaks
from rehearsal.contract.findings import Finding
from rehearsal.core.checks import Check, CheckKind

_REPRODUCE = "nox -s compatibility"
_SHOWN = 5  # findings that a check tells; the first of them is its sentence


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged: `document` is its file below contract-tests/, `good` what is said when all is well."""

    kind: CheckKind
    name: str
    document: str
    good: str

    def judge(self, findings: Sequence[Finding], accepted: AcceptedBreaks) -> Iterator[Check]:
        """Yield the checks of what was found and is not accepted."""
        unaccepted = accepted.unaccepted(self.document, findings)
        for is_doubtful in (False, True):
            yield from self._judge([one for one in unaccepted if one.is_doubt is is_doubtful])
        if not unaccepted:
            but = f", but for {len(findings)} accepted" if findings else ""
            yield self.kind.passed(self.name, self.good + but)

    def _judge(self, findings: list[Finding]) -> Iterator[Check]:
        by_operation = sorted(findings, key=lambda one: one.operation)
        for operation, group in groupby(by_operation, key=lambda one: one.operation):
            found = list(group)
            more = f"; and {len(found) - 1} more" if len(found) > 1 else ""
            where = f"{self.name} {operation}"
            if found[0].is_doubt:
                place = found[0].pointer or "its root"
                why = f"it could not be decided: {found[0].sentence}, at {place}{more}"
                yield self.kind.invalid(where, why, observed=_observed(found))
            else:
                yield self._failed(where, found, more)

    def _failed(self, where: str, found: list[Finding], more: str) -> Check:
        return self.kind.failed(
            where,
            f"{found[0].sentence}; this breaks {found[0].whom}{more}",
            expected="; ".join(f"{one.pointer}: {one.expected}" for one in found[:_SHOWN]),
            observed=_observed(found),
            reproduce=_REPRODUCE,
            source=f"contract-tests/{self.document}",
        )


def _observed(found: Sequence[Finding]) -> str:
    return "; ".join(f"{one.sentence} ({one.rule}): {one.observed}" for one in found[:_SHOWN])
