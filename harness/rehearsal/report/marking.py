"""What the page's sections share: verdicts, texts and links as markup. Everything that is said is escaped."""

from __future__ import annotations

from html import escape

from rehearsal.core.verdicts import Ending, Verdict
from rehearsal.report.phrasing import mark


def kind(verdict: Verdict | Ending) -> str:
    """Return the style class of a verdict."""
    return verdict.value.lower().replace(" ", "-")


def badge(verdict: Verdict | Ending) -> str:
    """Return a verdict as sign and word."""
    sign = f'<span aria-hidden="true">{mark(verdict)}</span>'
    return f'<span class="badge {kind(verdict)}">{sign} {verdict.value}</span>'


def head(*names: str) -> str:
    """Return a table's head."""
    return "<thead><tr>" + "".join(f'<th scope="col">{name}</th>' for name in names) + "</tr></thead>"


def entry(name: str, content: str) -> str:
    """Return an entry of a list of facts; the content is markup."""
    return f"<div><dt>{text(name)}</dt><dd>{content}</dd></div>"


def link(path: str) -> str:
    """Return a link to a file of the run."""
    return f'<a href="{escape(path)}">{text(path)}</a>'


def code(text: str) -> str:
    """Return text as code."""
    return f"<code>{escape(text)}</code>"


def text(text: str) -> str:
    """Return text as markup."""
    return escape(text)
