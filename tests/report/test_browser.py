"""The page in a real browser: its own policy lets its style through, it is drawn, dark too, and on paper."""

from __future__ import annotations

import re
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from rehearsal.core.processes import run

from tests.report.pages import full_page

CHROMIUM = shutil.which("chromium") or ""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here; Debian's is meant")
_REFUSED = "Content Security Policy"
_SIZE = "1200,6000"  # all of the page
_EMPTY = "<!doctype html><title>nothing</title>"
_DARK = "--blink-settings=preferredColorScheme=0"


def _shown(page: str, folder: Path, *switches: str) -> str:
    """Let the browser show a page, and return what it says."""
    folder.mkdir(exist_ok=True)
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    usual = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        f"--user-data-dir={folder / 'profile'}",
    )
    return run([CHROMIUM, *usual, *switches, file.as_uri()], timeout_seconds=90).output


def _picture(page: str, folder: Path, *switches: str) -> bytes:
    file = folder / "page.png"
    _shown(page, folder, f"--screenshot={file}", f"--window-size={_SIZE}", *switches)
    return file.read_bytes()


def _ground(picture: bytes) -> tuple[int, ...]:
    """Return the colour in the upper left corner of a PNG; a filter changes nothing of the first pixel."""
    data = b"".join(content for kind, content in _chunks(picture) if kind == b"IDAT")
    return tuple(zlib.decompress(data)[1:4])


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(picture):
        (length,) = struct.unpack(">I", picture[at : at + 4])
        yield picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        at += 12 + length


def _sheets(page: str, folder: Path) -> int:
    """Return on how many sheets of paper a page is printed."""
    file = folder / "page.pdf"
    _shown(page, folder, f"--print-to-pdf={file}", "--no-pdf-header-footer")
    content = file.read_bytes()
    return content.count(b"/Type /Page\n") + content.count(b"/Type /Page/") + content.count(b"/Type /Page ")


def test_policy_of_the_page_lets_its_style_through(tmp_path: Path) -> None:
    assert _REFUSED not in _shown(full_page(), tmp_path, f"--screenshot={tmp_path / 'page.png'}")


def test_policy_refuses_a_style_that_is_not_the_pages(tmp_path: Path) -> None:
    planted = full_page().replace("</style>", "body { color: red }</style>")

    assert _REFUSED in _shown(planted, tmp_path, f"--screenshot={tmp_path / 'page.png'}")


def test_page_is_drawn_light_and_dark(tmp_path: Path) -> None:
    light = _picture(full_page(), tmp_path / "light")
    dark = _picture(full_page(), tmp_path / "dark", _DARK)
    empty = _picture(_EMPTY, tmp_path / "empty")

    assert (_ground(light), _ground(dark)) == ((0xFD, 0xFD, 0xFC), (0x16, 0x18, 0x1B))
    # A page of nothing but its ground is as small as an empty one.
    assert min(len(light), len(dark)) > 10 * len(empty)


def test_drawings_are_what_is_seen(tmp_path: Path) -> None:
    page = full_page()
    bare = re.sub('<svg class="timeline".*?</svg>', "", page, flags=re.DOTALL)

    assert page.count('<svg class="timeline"') == 2
    assert len(_picture(page, tmp_path / "whole")) > len(_picture(bare, tmp_path / "bare")) + 10_000


def test_what_is_folded_on_a_screen_is_on_paper(tmp_path: Path) -> None:
    page = full_page()
    rows = "<tr><td>one more check</td></tr>" * 400
    longer = page.replace("</table></div>\n</details>", f"{rows}</table></div></details>", 1)

    assert 1 <= _sheets(page, tmp_path / "short") < _sheets(longer, tmp_path / "long") - 5
