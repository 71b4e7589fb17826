"""The detectors by name, as families name them."""

from __future__ import annotations

from collections.abc import Mapping

from rehearsal.detection.detecting import Detector, Inspection


def detectors() -> Mapping[str, Detector]:
    """Return all detectors."""
    return {"inspect": Inspection()}
