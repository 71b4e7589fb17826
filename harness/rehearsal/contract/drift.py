"""Whether a service's live OpenAPI document is the one that is committed. Pure.

Whether a difference breaks clients is another question; here every difference counts, because clients are
built from the committed document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.contract.checks import DRIFT
from rehearsal.core.checks import Check

FOLDER = Path("contract-tests", "openapi")
_SHOWN = 5  # differences in a finding; the evidence has both documents
_LONGEST_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where two documents differ; None stands for nothing there."""

    pointer: str  # RFC 6901
    committed: str | None
    live: str | None


def text_of(document: Mapping[str, Any]) -> str:
    """Return a document as it is committed: sorted, so that a change of it reads as one."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def differences(committed: Any, live: Any, pointer: str = "") -> Iterator[Difference]:
    """Yield the deepest places at which two parsed documents differ."""
    if isinstance(committed, Mapping) and isinstance(live, Mapping):
        for key in sorted({*committed, *live}):
            place = f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if key in committed and key in live:
                yield from differences(committed[key], live[key], place)
            else:
                yield Difference(place, _short(committed, key), _short(live, key))
    elif isinstance(committed, list) and isinstance(live, list) and len(committed) == len(live):
        for index, (one, other) in enumerate(zip(committed, live, strict=True)):
            yield from differences(one, other, f"{pointer}/{index}")
    elif _text(committed) != _text(live):
        yield Difference(pointer, _cut(committed), _cut(live))


def judge_drift(
    service: str, committed: Mapping[str, Any] | None, live: Mapping[str, Any], evidence: tuple[str, ...]
) -> Check:
    """Return the check of one service's document."""
    place = str(FOLDER / f"{service}.json")
    if committed is None:
        return DRIFT.invalid(service, f"there is no {place} to compare with")
    if not live.get("paths"):
        return DRIFT.invalid(service, "its live document describes no operation")
    found = list(differences(committed, live))
    if not found:
        operations = sum(len(path) for path in live["paths"].values())
        return DRIFT.passed(service, f"its {operations} operations are as committed")
    where = f"in {len(found)} places, first at {found[0].pointer}"
    return DRIFT.failed(
        service,
        f"its live contract differs from the committed one {where}",
        expected="; ".join(f"{one.pointer}: {one.committed or 'nothing'}" for one in found[:_SHOWN]),
        observed="; ".join(f"{one.pointer}: {one.live or 'nothing'}" for one in found[:_SHOWN]),
        evidence=evidence,
        reproduce="rehearsal e2e --stages contract",
        source=place,
    )


def _short(document: Mapping[str, Any], key: str) -> str | None:
    return _cut(document[key]) if key in document else None


def _cut(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= _LONGEST_CHARACTERS else f"{text[:_LONGEST_CHARACTERS]} ..."


def _text(value: Any) -> str:
    # By their text: to Python, true and 1 are equal.
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
