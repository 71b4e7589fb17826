"""How long each hop of a request took, by the lines that cache, gateway and services log of it.

Spans would say more and arrive later; they are `following`'s. The load balancer logs nothing: it and the way
to it are what the cache waited for beyond the gateway's own time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rehearsal.core.waiting import NotYet, WaitTimeoutError, wait_until
from rehearsal.observe.logs import LogLine, LogStore, of_requests

_CACHE, _GATEWAY = "cdn", "gateway-service"
_MOST_LINES = 500  # a request has some five
# https://nginx.org/en/docs/http/ngx_http_upstream_module.html#var_upstream_response_time: one for each server
# that was asked.
_SECONDS = re.compile(r"\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Share:
    """What one hop had of a request's time; `seconds` is None while a line is not there."""

    who: str
    seconds: float | None
    # Who was asked by it, in the same request: their times are a part of its own.
    within: tuple[Share, ...] = ()


def hop_times(
    store: LogStore, request_ids: Sequence[str], *, within_seconds: float
) -> Mapping[str, tuple[Share, ...]]:
    """Return the shares of some requests; what has not been logged after so long is None.

    Lines come one to two seconds late. Raises EnvironmentNotReadyError when the store does not answer.
    """
    found: dict[str, tuple[Share, ...]] = {}

    def probe() -> bool:
        lines = store.lines(of_requests(request_ids), _MOST_LINES)
        for one in request_ids:
            found[one] = shares([line for line in lines if line.fields.get("request_id") == one])
        if missing := [one for one in request_ids if any(share.seconds is None for share in found[one])]:
            raise NotYet(f"not all lines of {', '.join(missing)}")
        return True

    try:
        wait_until("the requests' lines", probe, timeout_seconds=within_seconds, hint="`rehearsal trace ID`")
    except WaitTimeoutError:
        return found  # each None says so
    return found


def shares(lines: Iterable[LogLine]) -> tuple[Share, ...]:
    """Return cache, load balancer, gateway and service of one request, in this order."""
    of = {line.container: line.fields for line in lines if _took(line.fields) is not None}
    cache, gateway = of.get(_CACHE, {}), of.get(_GATEWAY, {})
    whole, waited, inside = _took(cache), _waited(cache), _took(gateway)
    edge = Share("cache", _less(whole, waited)), Share("load balancer", _less(waited, inside))
    if gateway and not gateway.get("pod"):
        return *edge, Share("gateway", inside)  # it answered by itself
    service = gateway.get("upstream", "service")
    served = _took(of.get(service, {}))
    others = sorted(of.keys() - {_CACHE, _GATEWAY, service}) if gateway else []
    calls = tuple(Share(one, _took(of[one])) for one in others)
    return *edge, Share("gateway", _less(inside, served)), Share(service, served, calls)


def shares_text(found: Sequence[Share]) -> str:
    """Return shares as a line for a person."""
    if all(share.seconds is None for share in found):
        return "no times of its hops: nothing of it is logged yet"
    return ", ".join(_text(share) for share in found)


def _text(share: Share) -> str:
    if share.seconds is None:
        return f"{share.who} not logged yet"
    # The edge counts in milliseconds.
    took = "under 1 ms" if share.seconds < 0.001 else f"{share.seconds * 1000:.0f} ms"
    within = f" (with {', '.join(map(_text, share.within))})" if share.within else ""
    return f"{share.who} {took}{within}"


def _took(fields: Mapping[str, str]) -> float | None:
    if "duration_seconds" in fields:
        return float(fields["duration_seconds"])
    return float(fields["duration_ms"]) / 1000 if "duration_ms" in fields else None


def _waited(cache: Mapping[str, str]) -> float | None:
    if "upstream_seconds" not in cache:
        return None
    return sum(map(float, _SECONDS.findall(cache["upstream_seconds"])))


def _less(whole: float | None, part: float | None) -> float | None:
    # Clocks that count in milliseconds may give a part more than the whole.
    return None if whole is None or part is None else max(0.0, whole - part)
