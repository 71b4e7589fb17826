"""The record of the cluster that was made: what it was to be, and how far its making came.

One file, written atomically before each phase, so that a killed `up` leaves a truth that the next one can
work from.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path

from pydantic import TypeAdapter

from rehearsal.cluster.plan import ClusterSpec
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.errors import ConfigurationError
from rehearsal.core.paths import Paths
from rehearsal.core.timing import Timing

FILE_NAME = "cluster.json"
_VERSION = 1


class Phase(StrEnum):
    """How far the making of a cluster came."""

    CREATING = "creating"  # kind is at work: nothing of it can be relied on
    CREATED = "created"  # kind is done; every later step can be repeated
    READY = "ready"  # it has been whole once


@dataclass(frozen=True, slots=True)
class Record:
    """What was made."""

    spec: ClusterSpec
    phase: Phase
    addresses: Mapping[str, IPv4Address]  # of nodes, fixed on the Docker network
    maker: str = ""  # what brought it up last, if that wants to know its own cluster again


@dataclass(frozen=True, slots=True)
class Setting:
    """Which profile's manifests a cluster takes, and the pace of its controllers."""

    profile: str
    timing: Timing


def setting(paths: Paths, catalogue: Catalogue) -> Setting | None:
    """Return what the cluster was made with, or is said to have; None when the project has made none."""
    if paths.context:
        place = catalogue.elsewhere(paths.context)
        return Setting(place.profile, place.timing)
    made = load(paths.state)
    return Setting(made.spec.profile, made.spec.timing) if made else None


def require_same(found: Setting | None, *, profile: str | None, timing: Timing | None) -> None:
    """Raise ConfigurationError when a cluster is of another profile or timing than is wanted.

    None is no wish.
    """
    if found is None or (profile in (None, found.profile) and timing in (None, found.timing)):
        return
    raise ConfigurationError(
        "CLUSTER_OTHER_PROFILE",
        f"the cluster is of profile {found.profile} with {found.timing} timing, "
        f"and {profile or found.profile} with {timing or found.timing} timing is wanted",
        hint="Leave --profile and --timing out, or make another one: `rehearsal down`, then a whole run.",
    )


def load(folder: Path) -> Record | None:
    """Return the record, or None when there is none or it is unreadable.

    An unreadable one is as good as none: the containers themselves tell what is there.
    """
    try:
        text = (folder / FILE_NAME).read_text(encoding="utf-8")
        if json.loads(text)["version"] != _VERSION:
            return None
        # Checks every type, so that a damaged record does not break what reads it later.
        return _schema().validate_json(text, strict=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


@cache
def _schema() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def save(folder: Path, record: Record) -> None:
    """Write the record; a reader sees the old one or the new one, never a part."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"version": _VERSION, **dataclasses.asdict(record)}
    part = folder / f"{FILE_NAME}.{os.getpid()}.part"
    with part.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, default=str)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / FILE_NAME)


def forget(folder: Path) -> None:
    """Remove the record; no error when there is none."""
    (folder / FILE_NAME).unlink(missing_ok=True)
