"""A small plan, and what a good generator leaves of it."""

from __future__ import annotations

from rehearsal.load.journeys.plan import CHECKOUT, JourneyPlan, Login
from rehearsal.load.journeys.records import Arrived, Asked, Ended, Journeys, Ordered
from rehearsal.load.objectives import Objectives

GENEROUS = Objectives(0.995, 60.0, 60.0)
LOGIN = Login("http://127.0.0.1:1/token", "rehearsal", "secret", "openid", {"anna": "a", "ben": "b"})
PLAN = JourneyPlan("journeys", "http://127.0.0.1:1", 4.0, 10.0, ("p-1", "p-2"), LOGIN, 7, 60.0)


def good(plan: JourneyPlan = PLAN) -> Journeys:
    """Return what is left when all is well: every shopper asks for a product, and checks out."""
    asked = [
        Asked(one.number, operation, one.due, 0.02, 200, pod="10.0.0.1:8080")
        for one in plan.arrivals
        for operation in ("GET /api/products/{product_id}", CHECKOUT)
    ]
    return Journeys(
        tuple(Arrived(one.number, one.journey, one.due, 0.001) for one in plan.arrivals),
        tuple(asked),
        tuple(Ordered(one.number, f"o-{one.number}", "CONFIRMED", 0.2) for one in plan.arrivals),
        Ended(1000.25, 12.0, 1.0),
    )
