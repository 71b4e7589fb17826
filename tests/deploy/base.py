"""The checkout's own manifests, read without kustomize: overlays list files and patch single fields."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from rehearsal.core.catalogue import load
from rehearsal.deploy.brokers import Brokers, add_brokers
from rehearsal.deploy.localising import OPTIONAL, SUPPLIED, Locality, localise
from rehearsal.deploy.manifests import Manifest, parse
from rehearsal.deploy.monitoring import configure
from rehearsal.deploy.scaling import Scale, scale

ROOT = Path(__file__).parents[2]
BASE = ROOT / "k8s" / "base"
LOCAL = ROOT / "k8s" / "overlays" / "local"
PRODUCTION = ROOT / "k8s" / "overlays" / "production"
GRAFANA = LOCAL / "monitoring" / "grafana"
IMAGES = {name: f"localhost:5001/rehearsal/{name}:abc" for name in (*SUPPLIED.values(), *OPTIONAL.values())}


@cache
def _resources(folder: Path) -> tuple[Manifest, ...]:
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return tuple(one for name in listed if name != "../../base" for one in parse((folder / name).read_text()))


def base_objects() -> list[Manifest]:
    """Return the objects of k8s/base."""
    return list(_resources(BASE))


def production_objects() -> list[Manifest]:
    """Return what production applies."""
    return [*_resources(BASE), *_resources(PRODUCTION)]


def local_objects() -> list[Manifest]:
    """Return the local overlay as `rehearsal render` begins with it, on a machine that has everything."""
    return [*configure(overlay_objects()), *grafana_objects()]


def rendered(profile: str) -> list[Manifest]:
    """Return a profile's objects as `rehearsal render` prints them, on a machine that has everything."""
    catalogue = load(ROOT)
    local = localise(local_objects(), Locality.of(catalogue, IMAGES))
    return add_brokers(scale(local, Scale.of(catalogue, profile)), Brokers.of(catalogue, profile))


def grafana_objects() -> list[Manifest]:
    """Return what is left out where Grafana cannot be had."""
    return [*deepcopy(_resources(GRAFANA)), *_generated(GRAFANA)]


def overlay_objects() -> list[Manifest]:
    """Return the local overlay, patched; names that kustomize makes have no suffix."""
    kustomization = yaml.safe_load((LOCAL / "kustomization.yaml").read_text())
    objects = deepcopy([*_resources(BASE), *_resources(LOCAL)])
    objects += _generated(LOCAL)
    for patch in kustomization["patches"]:
        target = patch["target"]
        (one,) = (
            one
            for one in objects
            if (one["kind"], one["metadata"]["name"]) == (target["kind"], target["name"])
        )
        for step in yaml.safe_load(patch["patch"]):
            _apply(one, step)
    return objects


def _generated(folder: Path) -> list[Manifest]:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": one["name"], "namespace": one["namespace"]},
            "data": {Path(name).name: (folder / name).read_text() for name in one["files"]},
        }
        for one in kustomization["configMapGenerator"]
    ]


def _apply(one: Any, step: dict[str, Any]) -> None:
    *way, last = (part.replace("~1", "/") for part in step["path"].split("/")[1:])
    for part in way:
        one = one[int(part) if isinstance(one, list) else part]
    # "replace" of what is not there is refused, as kustomize does.
    assert step["op"] == "add" or last in one
    one[last] = step["value"]
