"""A release as production's pipeline deploys it: which objects, in which order, with which images. Pure.

The order of the guide's pipeline, folder by folder of `k8s/base`, with the folders that it leaves out.
Talking to a cluster belongs to `rolling_out`, making images to `publishing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from rehearsal.core.errors import ConfigurationError
from rehearsal.deploy.manifests import WORKLOADS, Manifest, containers, identity, parse

BASE = Path("k8s", "base")
# The guide applies namespace, config, secrets, deployments and services. Jobs come before what needs their
# work, the rest after what it belongs to.
FOLDERS = (
    "namespace",
    "config",
    "secrets",
    "jobs",
    "deployments",
    "services",
    "hpa",
    "pdb",
    "network-policies",
    "monitoring",
)
# What says what the pipeline may do is not applied by the pipeline.
ADMINISTRATORS_FOLDERS = ("rbac",)
_OWN = "mambogo/"  # images under this name are published with each release


@dataclass(frozen=True, slots=True)
class Version:
    """Where a release's images are: `registry`/<name>:`tag`."""

    registry: str
    tag: str

    def __post_init__(self) -> None:
        # The finding [latest]: two pods of one ReplicaSet may run different code.
        if self.tag == "latest":
            raise ConfigurationError(
                "TAG_MOVES",
                "a release's tag must not move, and `latest` does",
                hint="Give the commit: --tag.",
            )

    def reference(self, image: str) -> str:
        """Return the full reference of an image, by its name without repository."""
        # An owner may have capital letters, an image's name may not: the finding [upper-case-owner].
        return f"{self.registry.lower()}/{image}:{self.tag}"


@dataclass(frozen=True, slots=True)
class Step:
    """One folder of the base."""

    folder: str
    objects: tuple[Manifest, ...]

    def of_kinds(self, *kinds: str) -> list[Manifest]:
        """Return the step's objects of some kinds."""
        return [one for one in self.objects if one["kind"] in kinds]


def read_steps(root: Path) -> tuple[Step, ...]:
    """Return the base of a checkout, folder by folder in the order of `FOLDERS`."""
    return tuple(
        Step(
            folder,
            tuple(
                one
                for path in sorted((root / BASE / folder).glob("*.yaml"))
                for one in parse(path.read_text("utf-8"))
            ),
        )
        for folder in FOLDERS
    )


def as_rendered(steps: Sequence[Step], rendered: Iterable[Manifest]) -> tuple[Step, ...]:
    """Return the same objects in the same order as a profile renders them.

    A rendering has no Secrets; the base's have no values, and stay. What else it lacks does not exist there.
    """
    bodies = {identity(one): one for one in rendered}
    return tuple(
        Step(
            step.folder,
            tuple(
                bodies.get(identity(one), one)
                for one in step.objects
                if one["kind"] == "Secret" or identity(one) in bodies
            ),
        )
        for step in steps
    )


def at_version(steps: Sequence[Step], version: Version) -> tuple[Step, ...]:
    """Return the steps with every image of our own at a version; the given ones stay as they are."""
    released = tuple(Step(step.folder, tuple(deepcopy(step.objects))) for step in steps)
    for container in containers(one for step in released for one in step.objects):
        name = container["image"].partition(":")[0]
        if name.startswith(_OWN):
            container["image"] = version.reference(name.removeprefix(_OWN))
    return released


def workloads(steps: Iterable[Step]) -> list[Manifest]:
    """Return the objects whose rollout has to be watched: all of them."""
    return [one for step in steps for one in step.of_kinds(*WORKLOADS)]
