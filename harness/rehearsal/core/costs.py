"""What looking costs: whoever samples or listens beside a load says so, and whether it was little enough."""

from __future__ import annotations

from rehearsal.core.events import Level, Notice

_CHEAP_SHARE = 0.05  # of one core; what looks must not be what is measured
_LEAST_SECONDS = 1.0  # over less, a share says nothing


def cost(who: str, cpu_seconds: float, seconds: float, did: str = "") -> Notice:
    """Return what somebody's CPU time comes to; a warning when it is more than a twentieth of a core."""
    share = cpu_seconds / max(_LEAST_SECONDS, seconds)
    took = f"{who} took {100 * share:.1f} % of a core ({cpu_seconds:.1f} s of CPU in {seconds:.0f} s){did}"
    bound = f"{100 * _CHEAP_SHARE:.0f} %"
    if share > _CHEAP_SHARE:
        return Notice(
            Level.WARNING, f"{took}: more than {bound}, so it may have slowed what it was to measure"
        )
    return Notice(Level.INFO, f"{took}; {bound} are its bound")
