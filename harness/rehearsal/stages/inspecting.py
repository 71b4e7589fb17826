"""Everything that can be judged without a cluster: the committed contracts, and the manifests of a profile.

The same checks as in the stages contract and deploy, in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path

from rehearsal.contract.committed import judge_committed
from rehearsal.core.checks import Check
from rehearsal.stages.deploying import Manifests, judge_manifests


def inspect(
    root: Path,
    today: date,
    manifests: Callable[[], tuple[Manifests, Manifests]],
    working_set_mib: Mapping[str, int],
) -> Iterator[Check]:
    """Yield what a checkout is worth on `today`; `manifests` are production's and the local ones."""
    yield from judge_committed(root, today)
    yield from judge_manifests(*manifests(), working_set_mib)
