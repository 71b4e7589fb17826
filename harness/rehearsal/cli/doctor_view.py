"""The doctor's rows on a console: aligned columns, a summary, the next command.

What is found, and what it means, is for `rehearsal.stages.doctor`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from rehearsal.stages.doctor.rows import Row, Status

_STYLES = {
    Status.OK: "green",
    Status.WILL_FIX: "cyan",
    Status.LIMIT: "yellow",
    Status.BLOCKER: "bold red",
}
_STATUS_WIDTH = max(len(status.value) for status in Status) + 2
_TITLE_WIDTH = 30
_PLAIN_WIDTH = 110  # of a log or a pipe, where nobody can widen the window


def render_doctor(rows: Iterable[Row], console: Console | None = None) -> list[Row]:
    """Print rows as they come, and return them."""
    console = console or _standard_console()
    shown: list[Row] = []
    for row in rows:
        _print_row(console, row)
        shown.append(row)
    _print_end(console, shown)
    return shown


def _standard_console() -> Console:
    console = Console(highlight=False)
    # Without a terminal rich assumes 80 columns.
    return console if console.is_terminal else Console(highlight=False, width=_PLAIN_WIDTH)


def _print_row(console: Console, row: Row) -> None:
    _hanging(
        console,
        [(row.status.value, _STATUS_WIDTH, _STYLES[row.status]), (row.title, _TITLE_WIDTH, "")],
        row.summary,
    )
    if row.status is Status.OK:
        return
    indent = [("", _STATUS_WIDTH, "")]
    if row.explanation:
        _hanging(console, indent, row.explanation, style="dim")
    if row.cure:
        _hanging(console, [*indent, ("cure", 6, "bold")], row.cure)


def _hanging(
    console: Console, columns: Sequence[tuple[str, int, str]], text: str, *, style: str = ""
) -> None:
    """Print columns and then text, wrapped below its own first character."""
    left = sum(width for _, width, _ in columns)
    head = Text.assemble(*((word.ljust(width), look) for word, width, look in columns))
    lines = Text(text, style=style).wrap(console, max(console.width - left, 20))
    for number, line in enumerate(lines):
        prefix = head if number == 0 else Text(" " * left)
        console.print(Text.assemble(prefix, line), soft_wrap=True)


def _print_end(console: Console, rows: Sequence[Row]) -> None:
    counts = Counter(row.status for row in rows)
    lines = ["", ", ".join(f"{counts[status]} {status.value}" for status in Status if counts[status])]
    if excludes := sorted({need for row in rows for need in row.excludes}):
        lines.append(f"Not possible on this machine: {', '.join(excludes)}")
    if blockers := [row.id for row in rows if row.blocks]:
        lines.append(f"Next: cure {', '.join(blockers)}, then `rehearsal doctor` again.")
    else:
        lines.append("Next: `rehearsal up`")
    for line in lines:
        console.print(Text(line))
