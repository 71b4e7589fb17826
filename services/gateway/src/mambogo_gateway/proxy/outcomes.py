"""What became of an exchange, besides the codes of refusals: for metrics and the access log."""

from __future__ import annotations

from typing import Final

ANSWERED: Final = "answered"
CLIENT_GONE: Final = "client-gone"
TRUNCATED: Final = "truncated"
STALLED: Final = "stalled"
