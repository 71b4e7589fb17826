"""Text of others made harmless for a terminal: what services say may hold whatever a client has sent them.

A terminal obeys control characters: with them a line of a log hides another one, sets a window's title or
asks the terminal to type. Whatever is no letter there is shown as it would be written in a program. JSON for
programs is left as it is.
"""

from __future__ import annotations

import re

# C0 but for tab and newline, DEL, C1; marks, overrides and isolates of direction; separators of lines that
# terminals do not agree on; halves of characters, which no terminal can be sent.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str, indent: int = 0) -> str:
    """Return `text` without what a terminal obeys, all lines but its first `indent` columns further in."""
    shown = _HARMFUL.sub(_named, text.replace("\r\n", "\n"))
    return shown.replace("\n", "\n" + " " * indent)


def _named(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"
