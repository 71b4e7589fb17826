"""Operations: a history's invocations together with their answers.

Reading the file is `shop.history`'s; what an answer means for an invariant is the checkers'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from rehearsal.core.errors import HarnessError
from rehearsal.shop.answers import Kind
from rehearsal.shop.history import Entry

PLACE: Final = "place_order"
CANCEL: Final = "cancel_order"
LOOK: Final = "get_order"
STOCK: Final = "get_stock"

# Python 3.11 takes ten times as long to look up `Kind.OK`, and checkers do it a million times.
OK: Final = Kind.OK
FAIL: Final = Kind.FAIL
INFO: Final = Kind.INFO

_NO_VALUE: Final[Mapping[str, Any]] = {}


class Operation(NamedTuple):
    """One attempt of one operation.

    A tuple and not a dataclass: a run has a million of them, and a frozen dataclass takes five times as long
    to make.
    """

    f: str
    process: str
    op_id: str
    key: str
    request: str  # hash of what was asked; another one under the same key is another request
    kind: Kind
    status: int | None
    invoked_ns: int
    answered_ns: int | None
    asked: Mapping[str, Any]
    answered: Mapping[str, Any]

    @property
    def order_id(self) -> str:
        """The order that it made or was about; empty if nobody knows."""
        return str(self.answered.get("order_id") or self.asked.get("order_id") or "")


def operations_of(entries: Iterable[Entry]) -> list[Operation]:
    """Pair invocations with answers, in the order of invocation; without an answer the outcome is unknown.

    Raises HarnessError for an answer that nobody asked for, and for a second one.
    """
    pending: dict[tuple[str, str, int], tuple[int, Entry]] = {}
    found: list[Operation | None] = []
    for entry in entries:
        attempt = (entry.op_id, entry.f, entry.attempt)
        if entry.type == "invoke":
            if attempt in pending:
                raise _broken(f"{attempt} was invoked twice")
            pending[attempt] = (len(found), entry)
            found.append(None)
        elif (begun := pending.pop(attempt, None)) is not None:
            place, invoked = begun
            found[place] = _operation(invoked, entry)
        else:
            raise _broken(f"{attempt} was answered and not invoked")
    for place, invoked in pending.values():
        found[place] = _operation(invoked, None)
    return [one for one in found if one is not None]


def _operation(invoked: Entry, answer: Entry | None) -> Operation:
    try:
        kind = Kind(answer.type) if answer is not None else Kind.INFO
    except ValueError as error:
        raise _broken(f"{invoked.op_id} ended as {answer.type if answer else ''!r}") from error
    return Operation(
        invoked.f,
        invoked.process,
        invoked.op_id,
        invoked.idem_key,
        invoked.req_hash,
        kind,
        answer.http_status if answer is not None else None,
        invoked.t_ns,
        answer.t_ns if answer is not None else None,
        invoked.value,
        answer.value if answer is not None else _NO_VALUE,
    )


def _broken(what: str) -> HarnessError:
    return HarnessError("HISTORY_BROKEN", what, hint="One run writes one history; start a new one.")
