"""Strong entity tags from a resource's version number, and the preconditions on them (RFC 9110, section 13).

The version is the row's own counter, so that no body has to be hashed. Comparing again inside the
transaction that writes is the service's: the check here only saves work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import Header

from mambogo_chassis.http.problems import Problem

# Any text is taken: one that is no tag matches nothing, and is answered like every other that does not.
IfMatch = Annotated[str, Header(max_length=200, examples=["*"], description="The ETag that was read.")]
IfNoneMatch = Annotated[
    str | None, Header(max_length=200, examples=['"1"'], description="ETags that the client has.")
]

# Enough for any honest client; each is compared on every request.
MAX_TAGS: Final = 20


def etag(version: int) -> str:
    """The tag of a version, quotes included."""
    return f'"{version}"'


def parse_tags(header: str) -> Sequence[str]:
    """The tags of `If-Match` or `If-None-Match` in order; `*` stands alone."""
    return [tag.strip() for tag in header.split(",")[:MAX_TAGS] if tag.strip()]


def not_modified(if_none_match: str | None, version: int) -> bool:
    """Whether a read may be answered 304. Weak comparison: `W/` does not matter here."""
    if if_none_match is None:
        return False
    tags = [tag.removeprefix("W/") for tag in parse_tags(if_none_match)]
    return "*" in tags or etag(version) in tags


def require_match(if_match: str, version: int) -> None:
    """Raise 412 when `If-Match` names another version. Strong comparison.

    The header is required by its type, so that an unconditional write is refused as invalid input.
    """
    tags = parse_tags(if_match)
    if "*" not in tags and etag(version) not in tags:
        raise Problem(
            412,
            "precondition-failed",
            "The resource has changed since it was read.",
            headers={"ETag": etag(version)},
        )
