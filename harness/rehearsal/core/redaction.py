"""Taking secrets out of text before it is written where it may be shared: reports, artefacts.

It knows the shapes of secrets that this project handles: bearer tokens, JSON Web Tokens, passwords in URLs,
in settings and in JSON. What has no such shape must not be logged in the first place.
"""

from __future__ import annotations

import re

HIDDEN = "[hidden]"
_PATTERNS = (
    re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),  # a JSON Web Token
    re.compile(r"(?<=[Bb]earer )[\w.~+/=-]{8,}"),
    re.compile(r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"),  # user:password@host
    re.compile(r"(?i)(?<=password=)[^\s&;,\"']+|(?<=secret=)[^\s&;,\"']+"),
    re.compile(r"(?i)(?<=password\": \")[^\"]+|(?<=secret\": \")[^\"]+|(?<=token\": \")[^\"]+"),
)
# One of these is in whatever a pattern finds: looking for them costs a hundredth of the patterns.
_SIGNS = ("eyj", "bearer ", "://", "password", "secret", "token")


def redact(text: str) -> str:
    """Return the text with every secret of a known shape replaced."""
    lowered = text.lower()
    if not any(sign in lowered for sign in _SIGNS):
        return text
    for pattern in _PATTERNS:
        text = pattern.sub(HIDDEN, text)
    return text
