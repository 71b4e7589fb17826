"""The detectors by name, as families name them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rehearsal.detection.detecting import Detector, Fuzzing, Inspection, Rehearsing

_FUZZED = ("cart", "inventory", "order", "payment", "product")
_STAGES = ("load", "chaos")


def detectors(origin: Path, folder: Path) -> Mapping[str, Detector]:
    """Return all detectors; `folder` is for what they leave, `origin` is the checkout that copies are of."""
    return {
        "inspect": Inspection(),
        **{f"fuzz-{name}": Fuzzing(name, folder) for name in _FUZZED},
        **{name: Rehearsing(name, origin, folder) for name in _STAGES},
    }
