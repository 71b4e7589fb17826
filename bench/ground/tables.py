"""Tables in Markdown files: a benchmark writes its own part anew and leaves the rest of the page alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def refresh(page: Path, name: str, content: str, *, quiet: bool = False) -> None:
    """Put `content` between the marks `<!-- name -->` and `<!-- /name -->` of a page that has them."""
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise SystemExit(f"{page} has no place {begin} ... {end} for the result:\n\n{content}")
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    page.write_text(f"{head}{begin}\n\n{content}\n\n{end}{tail}", encoding="utf-8")
    if not quiet:
        print(content)
