"""The detectors by name, as families name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rehearsal.detection.detecting import Deployment, Detector, Fuzzing, Inspection, Rehearsing, Weighing

_FUZZED = ("cart", "inventory", "order", "payment", "product")
_STAGES = ("load", "chaos")


def detectors(
    origin: Path, folder: Path, cluster: Callable[[], str | None], say: Callable[[str], None]
) -> Mapping[str, Detector]:
    """Return all detectors; `folder` is for what they leave, `origin` is the checkout that copies are of.

    `cluster` says which one is there, as `Deployment` wants it.
    """
    deployment = Deployment(origin, folder, cluster, say)
    return {
        "inspect": Inspection(),
        **{f"fuzz-{name}": Fuzzing(name, folder) for name in _FUZZED},
        **{name: Rehearsing(name, deployment) for name in _STAGES},
        "weigh": Weighing(deployment),
    }
