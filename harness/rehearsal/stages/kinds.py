"""All kinds of checks that a run can make; each has a page in docs/checks/."""

from __future__ import annotations

from rehearsal.core.checks import CheckKind
from rehearsal.stages import deploying

ALL: tuple[CheckKind, ...] = (*deploying.CHECKS,)
