"""The log of a Kafka that is away: each complaint once in a while, and how many like it were left out.

A client says for every attempt to connect, and for each of its threads, that it failed: hundreds of lines a
minute and pod, that push out of a bounded log what else happened meanwhile.
"""

from __future__ import annotations

import logging
import re
import time
from typing import Final

_AGAIN_SECONDS: Final = 30.0
# A client whose words all differ, by a name that is in them, must not fill memory either.
_MOST_KINDS: Final = 200
# Ports, durations, counts, numbers of clients and addresses: what differs between two that say the same.
_PARTICULARS: Final = re.compile(r"\d+")


class Seldom(logging.Filter):
    """Lets a message pass that was not seen for half a minute, whatever numbers are in it."""

    def __init__(self, again_seconds: float = _AGAIN_SECONDS) -> None:
        super().__init__()
        self._again_seconds = again_seconds
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one is written; the next that is says how many were not."""
        words = record.getMessage()
        kind = _PARTICULARS.sub("N", words)
        now = time.monotonic()
        since, left_out = self._seen.get(kind, (None, 0))
        if since is not None and now - since < self._again_seconds:
            self._seen[kind] = (since, left_out + 1)
            return False
        if len(self._seen) >= _MOST_KINDS:
            self._seen.clear()
        self._seen[kind] = (now, 0)
        if left_out:
            record.msg, record.args = "%s (and %d like it since the last)", (words, left_out)
        return True


# For librdkafka's own words, and for its errors that callbacks pass on.
client_logger: Final = logging.getLogger("mambogo_chassis.events.kafka")
client_logger.addFilter(Seldom())
# librdkafka calls this setting experimental at every start; that it was chosen is said where it is.
client_logger.addFilter(lambda record: "enable.gapless.guarantee is experimental" not in record.getMessage())
