"""The version text: the one line that is edited to see an edit go live."""

from __future__ import annotations

VERSION = "1"
