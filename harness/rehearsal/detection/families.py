"""All families of defects."""

from __future__ import annotations

from rehearsal.detection.model import Family
from rehearsal.detection.planting import documents, events, manifests, patches

SEEDLESS: tuple[Family, ...] = (*documents.families(), *events.families(), *manifests.families())


def families(seed: str) -> tuple[Family, ...]:
    """Return every family, each in the service that the seed draws; what is quickest comes first."""
    return (*SEEDLESS, *patches.families(seed), *patches.deployed())
