"""The orders of a load of journeys, as a series. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rehearsal.load import series
from rehearsal.load.journeys.plan import CHECKOUT, JourneyPlan
from rehearsal.load.journeys.records import Journeys
from rehearsal.load.series import Offered


def points(plan: JourneyPlan, seen: Journeys) -> Iterator[Mapping[str, object]]:
    """Yield the points of all checkouts; none of a generator that did not come to its end."""
    if seen.ended is None:
        return
    asked = (one for one in seen.asked if one.operation == CHECKOUT)
    offered = [Offered(one.due, not one.wrong, one.seconds, bool(one.wrong)) for one in asked]
    yield from series.points(plan.name, seen.ended.began_at, offered)
