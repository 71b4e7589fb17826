"""All kinds of checks that a run can make; each has a page in docs/checks/."""

from __future__ import annotations

from rehearsal.chaos import checks as chaos
from rehearsal.contract import checks as contract
from rehearsal.contract.tapping import checks as events
from rehearsal.core.checks import CheckKind
from rehearsal.load import checks as load
from rehearsal.stages import deploying

ALL: tuple[CheckKind, ...] = (
    *deploying.CHECKS,
    *contract.CHECKS,
    *load.CHECKS,
    *chaos.CHECKS,
    *events.CHECKS,
)
