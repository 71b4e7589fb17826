"""The guide's smoke test: the gateway answers where its load balancer is, for itself and through to the shop.

Without the guide's pause: every replica has been waited for, so the first answer counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx

PATHS = ("/actuator/health", "/api/products")
_ANSWER_SECONDS = 15.0  # longer than the gateway's longest deadline


@dataclass(frozen=True, slots=True)
class Answered:
    """What one path answered."""

    url: str
    good: bool
    said: str


def smoke(address: str, client: httpx.Client) -> tuple[Answered, ...]:
    """Ask each path once; an answer that did not come is an answer, too."""
    return tuple(_ask(f"http://{address}{path}", client) for path in PATHS)


def _ask(url: str, client: httpx.Client) -> Answered:
    try:
        answer = client.get(url, timeout=_ANSWER_SECONDS)
    except httpx.HTTPError as error:
        return Answered(url, good=False, said=f"{type(error).__name__}: {error}")
    return Answered(url, good=answer.status_code == httpx.codes.OK, said=str(answer.status_code))
