"""The committed contracts of a checkout, judged against what was released. Needs no cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

from rehearsal.contract.accepting import AcceptedBreaks, read_accepted
from rehearsal.contract.breaking import compare
from rehearsal.contract.checks import BREAKING
from rehearsal.contract.drift import FOLDER
from rehearsal.contract.findings import Finding
from rehearsal.contract.openapi import operations
from rehearsal.core.checks import Check, CheckKind

RELEASED = Path("contract-tests", "released")
_REPRODUCE = "nox -s 'contract(documents)'"
_SHOWN = 5  # findings that a check tells; the command shows all


def judge_committed(root: Path, today: date) -> Iterator[Check]:
    """Yield what a checkout's contracts are worth on `today`."""
    accepted = read_accepted(root, today)
    yield from judge_documents(root, accepted)
    yield from accepted.judge()


def judge_documents(root: Path, accepted: AcceptedBreaks) -> Iterator[Check]:
    """Yield what each service's document makes of its release."""
    names = _names(root / FOLDER) | _names(root / RELEASED / "openapi")
    for name in sorted(names):
        service, place = name.removesuffix(".json"), f"openapi/{name}"
        released, current = read(root / RELEASED / place), read(root / FOLDER / name)
        if released is None or current is None:
            which = "released" if released is None else "committed"
            yield BREAKING.invalid(service, f"there is no {which} document that can be read")
            continue
        findings = compare(released, current)
        unaccepted = accepted.unaccepted(place, findings)
        yield from judged(BREAKING, service, str(FOLDER / name), unaccepted)
        if not unaccepted:
            kept = f"its {len(operations(current))} operations keep every promise of the release"
            yield BREAKING.passed(service, kept + (f", but for {len(findings)} accepted" if findings else ""))
    if not names:
        yield BREAKING.invalid("all services", "there is no document to compare")


def judged(kind: CheckKind, subject: str, source: str, findings: list[Finding]) -> Iterator[Check]:
    """Yield a failed check for each operation with breaks, and an invalid one for each with doubts."""
    for doubtful in (False, True):
        of_one_kind = [one for one in findings if one.is_doubt is doubtful]
        of_one_kind.sort(key=lambda one: one.operation)
        for operation, group in groupby(of_one_kind, key=lambda one: one.operation):
            found = list(group)
            where = f"{subject} {operation}"
            if doubtful:
                why = f"it could not be decided: {found[0].sentence}, at {found[0].pointer}"
                yield kind.invalid(where, why + _more(found))
            else:
                yield _failed(kind, where, source, found)


def read(path: Path) -> Mapping[str, Any] | None:
    """Return the object in a JSON file; None when there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _failed(kind: CheckKind, subject: str, source: str, found: list[Finding]) -> Check:
    return kind.failed(
        subject,
        f"{found[0].sentence}; this breaks {found[0].whom}{_more(found)}",
        expected="; ".join(f"{one.pointer}: {one.expected}" for one in found[:_SHOWN]),
        observed="; ".join(f"{one.sentence} ({one.rule})" for one in found[:_SHOWN]),
        reproduce=_REPRODUCE,
        source=source,
    )


def _more(found: list[Finding]) -> str:
    return f"; and {len(found) - 1} more" if len(found) > 1 else ""


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.json")}
