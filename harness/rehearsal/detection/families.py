"""All families of defects."""

from __future__ import annotations

from rehearsal.detection.model import Family
from rehearsal.detection.planting import documents, events, manifests

ALL: tuple[Family, ...] = (*documents.families(), *events.families(), *manifests.families())
