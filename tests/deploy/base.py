"""The checkout's own manifests, read without kustomize: the base and the local overlay only list files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from rehearsal.deploy.manifests import Manifest, parse

ROOT = Path(__file__).parents[2]
BASE = ROOT / "k8s" / "base"
LOCAL = ROOT / "k8s" / "overlays" / "local"


@cache
def _resources(folder: Path) -> tuple[Manifest, ...]:
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return tuple(one for name in listed if name != "../../base" for one in parse((folder / name).read_text()))


def base_objects() -> list[Manifest]:
    """Return the objects of k8s/base."""
    return list(_resources(BASE))


def local_objects() -> list[Manifest]:
    """Return the base and what the local overlay adds to it, without the overlay's patches."""
    return [*_resources(BASE), *_resources(LOCAL)]
