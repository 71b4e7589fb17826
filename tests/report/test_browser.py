"""The page in a real browser: its own policy lets its style through, and nothing is asked for elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from rehearsal.core.processes import run
from rehearsal.report.html import render_html
from rehearsal.report.model import Report

CHROMIUM = shutil.which("chromium") or ""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here; Debian's is meant")
_REFUSED = "Content Security Policy"


def _console_of(page: str, folder: Path) -> str:
    """Return what the browser says while it shows a page."""
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    switches = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        f"--user-data-dir={folder / 'profile'}",
        f"--screenshot={folder / 'page.png'}",
    )
    return run([CHROMIUM, *switches, file.as_uri()], timeout_seconds=90).output


def test_policy_of_the_page_lets_its_style_through(report: Report, tmp_path: Path) -> None:
    said = _console_of(render_html(report), tmp_path)

    assert _REFUSED not in said
    assert (tmp_path / "page.png").stat().st_size > 0


def test_policy_refuses_a_style_that_is_not_the_pages(report: Report, tmp_path: Path) -> None:
    planted = render_html(report).replace("</style>", "body { color: red }</style>")

    assert _REFUSED in _console_of(planted, tmp_path)
