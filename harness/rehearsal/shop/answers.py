"""What an operation came to, as a client can know it. Pure.

The three kinds are Jepsen's: a client that got no clear answer does not know whether its operation happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rehearsal.core.errors import EnvironmentNotReadyError

_OK = range(200, 300)
_REFUSED = range(400, 500)
# Time-outs, conflicts with a request that is still at work, and limits: ask again.
_UNCLEAR = (408, 409, 425, 429)


class Kind(StrEnum):
    """What is known of an operation."""

    OK = "ok"  # it happened
    FAIL = "fail"  # it did not happen
    INFO = "info"  # it may have happened


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; no status when nothing did."""

    kind: Kind
    status: int | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    pod: str = ""  # who served it
    cache: str = ""  # what the edge says about it: HIT, MISS, ...
    request_id: str = ""  # by which the shop's logs know it; none of what the edge had kept
    error: str = ""  # why there is no status
    retry_after_seconds: float = 0.0

    def __str__(self) -> str:
        said = self.body.get("detail") or self.body.get("title") or ""
        return self.error or f"{self.status} {said}".strip()


def id_of(product: Answer, what: str) -> str:
    """Return the id of a product that was made. Raises EnvironmentNotReadyError when the answer has none."""
    if id_ := product.body.get("id"):
        return str(id_)
    raise EnvironmentNotReadyError(
        "PRODUCT_WITHOUT_ID",
        f"product-service took {what} with {product.status}, and its answer has no id",
        hint="`rehearsal e2e --stages contract` says how product-service's answers differ from its document.",
    )


def kind_of(status: int) -> Kind:
    """Return what a status says about an operation."""
    if status in _OK:
        return Kind.OK
    return Kind.FAIL if status in _REFUSED and status not in _UNCLEAR else Kind.INFO
