"""What the page's sections share: verdicts, texts, links and tables as markup. All that is said is escaped.

A page stays small whatever a run found: long texts are cut here, and a section shows what fits into its
share. `report.json` has the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from rehearsal.core.verdicts import Ending, Verdict
from rehearsal.report.phrasing import mark

_LONGEST_TEXT = 400  # characters: some lines, which is what is read of one
_LONGEST_CODE = 1000  # a command that is cut cannot be copied: none of ours comes near it


def kind(verdict: Verdict | Ending) -> str:
    """Return the style class of a verdict."""
    return verdict.value.lower().replace(" ", "-")


def badge(verdict: Verdict | Ending) -> str:
    """Return a verdict as sign and word."""
    sign = f'<span aria-hidden="true">{mark(verdict)}</span>'
    return f'<span class="badge {kind(verdict)}">{sign} {verdict.value}</span>'


def table(caption: str, columns: Sequence[str], body: Iterable[str], kind: str = "") -> Iterator[str]:
    """Yield a table that can be scrolled, by keyboard too; columns and body are markup."""
    label = escape(caption)
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="Table: {label}">'
    yield f'<table class="{kind}">' if kind else "<table>"
    yield f'<caption class="unseen">{label}</caption>'
    yield "<thead><tr>" + "".join(f'<th scope="col">{name}</th>' for name in columns) + "</tr></thead>"
    yield from body
    yield "</table></div>"


def fitting(parts: Iterable[str], most_bytes: int) -> tuple[list[str], int]:
    """Return the first parts that fit, and how many are left."""
    kept: list[str] = []
    left = 0
    for part in parts:
        most_bytes -= len(part.encode())
        if most_bytes < 0:
            left += 1
        else:
            kept.append(part)
    return kept, left


def more(left: int) -> Iterator[str]:
    """Yield where the rest is; nothing when there is none."""
    if left:
        yield f'<p class="more">And {left} more, in {link("report.json")}.</p>'


def entry(name: str, content: str) -> str:
    """Return an entry of a list of facts; the content is markup."""
    return f"<div><dt>{text(name)}</dt><dd>{content}</dd></div>"


def link(path: str) -> str:
    """Return a link to a file of the run."""
    return f'<a href="{escape(path)}">{text(path)}</a>'


def code(text: str) -> str:
    """Return text as code."""
    return f"<code>{escape(short(text, _LONGEST_CODE))}</code>"


def text(text: str) -> str:
    """Return text as markup, of a long one its beginning."""
    return escape(short(text))


def short(text: str, most: int = _LONGEST_TEXT) -> str:
    """Return a text, of a long one its beginning."""
    return text if len(text) <= most else f"{text[:most]} …"
