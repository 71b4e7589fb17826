"""Puts measured tables into the documentation, between the marks that name them."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "services/gateway/docs/performance.md"


def circumstances() -> str:
    """When and on how busy a machine: without it, nobody can judge the numbers."""
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores, "
        f"load average {os.getloadavg()[0]:.1f} at the end."
    )


def replaced(text: str, name: str, lines: list[str]) -> str:
    """The document with one table exchanged. Raises SystemExit when its marks are not there exactly once."""
    begin, end = f"<!-- measured: {name} -->", "<!-- end -->"
    pattern = re.compile(re.escape(begin) + r".*?" + re.escape(end), re.DOTALL)
    new, count = pattern.subn(lambda _: "\n".join((begin, *lines, end)), text)
    if count != 1:
        raise SystemExit(f"{DOCUMENT.name} has {count} places for {begin}")
    return new


def write(tables: dict[str, list[str]]) -> None:
    """Exchange all of `tables`, or none."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, lines in tables.items():
        text = replaced(text, name, lines)
    DOCUMENT.write_text(text, encoding="utf-8")
