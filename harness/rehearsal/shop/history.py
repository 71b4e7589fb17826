"""The history of operations: every invocation and every answer, outside of the cluster, as JSON lines.

A line is handed to the kernel when it is written: a killed run loses none. Checkers read it; nothing is
judged here. An operation is all attempts under one idempotency key.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rehearsal.core.errors import HarnessError


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: `type` is invoke, ok, fail or info."""

    t_ns: int  # CLOCK_REALTIME, to be laid beside what the cluster logs
    process: str  # who asks, one operation after the other
    op_id: str
    f: str  # place_order, get_order, list_orders
    type: str
    idem_key: str = ""
    req_hash: str = ""
    value: Mapping[str, Any] = field(default_factory=dict)
    http_status: int | None = None
    pod: str = ""
    version: str = ""
    attempt: int = 1
    fault_id: str = ""


class History:
    """An append-only file of entries; a context manager."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.fault_id = ""  # of the fault that is at work; stands in every entry meanwhile
        self._file = path.open("a", encoding="utf-8")

    def append(self, **fields: Any) -> None:
        """Write an entry with the time of now."""
        entry = Entry(t_ns=time.time_ns(), fault_id=self.fault_id, **fields)
        self._file.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read(path: Path) -> Iterator[Entry]:
    """Yield a history's entries. Raises HarnessError for a line that is none; a last one may be cut off."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield Entry(**json.loads(line))
            except (ValueError, TypeError) as error:
                if not line.endswith(b"\n"):
                    return
                raise HarnessError(
                    "HISTORY_BROKEN",
                    f"{path} line {number} is no entry of a history: {error}",
                    hint="The file was changed by something else; start a new run.",
                ) from error
