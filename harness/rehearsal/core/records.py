"""A log of records: one JSON object a line, on disk when `append` returns, only ever added to.

For what outlives a process and must not lose a line to one that was killed. A run's events are the journal's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rehearsal.core.errors import HarnessError


def append(log: Path, record: Mapping[str, Any]) -> None:
    """Add a record; a line that a killed process left unfinished is ended first."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        if _is_cut_off(log):
            file.write(b"\n")
        file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read(log: Path) -> list[tuple[int, Any]]:
    """Return the records with their line numbers.

    A line that was cut off is none: the last one, or one after which somebody went on. Raises HarnessError
    for any other line that is no JSON.
    """
    if not log.exists():
        return []
    found: list[tuple[int, Any]] = []
    for number, line in enumerate(log.read_bytes().splitlines(keepends=True), 1):
        try:
            found.append((number, json.loads(line)))
        except ValueError as error:
            if line.endswith(b"\n") and not line.startswith(b"{"):
                raise broken(log, number, error) from error
    return found


def broken(log: Path, number: int, error: Exception) -> HarnessError:
    """Return the error for a line that is no record of its log."""
    return HarnessError(
        "LOG_BROKEN",
        f"{log} line {number} is no record: {error}",
        hint="The log is only ever added to; move it away to begin another one.",
    )


def _is_cut_off(log: Path) -> bool:
    content = log.read_bytes()
    return bool(content) and not content.endswith(b"\n")
