"""The checkout's own manifests, read without kustomize: folders list files, and patch single fields.

Whatever else a kustomization may say is refused, so that nothing in one is overlooked here;
`test_kustomize.py` holds the whole against kustomize itself, where that is at hand.
"""

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


_NAMES_OF_FIELDS = {
    "kustomization": {"apiVersion", "kind", "resources", "configMapGenerator", "patches"},
    "configMapGenerator": {"name", "namespace", "files", "options"},
    "options": {"disableNameSuffixHash"},
    "patches": {"target", "patch"},
    "target": {"kind", "name"},
    "step": {"op", "path", "value"},
}


def base_objects() -> list[Manifest]:
    """Return the objects of k8s/base."""
    return list(_built(BASE))


def production_objects() -> list[Manifest]:
    """Return what production applies."""
    return list(_built(PRODUCTION))


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
    return deepcopy(list(_built(GRAFANA)))


def overlay_objects() -> list[Manifest]:
    """Return the local overlay, patched."""
    return deepcopy(list(_built(LOCAL)))


@cache
def _built(folder: Path) -> tuple[Manifest, ...]:
    return tuple(build(folder))


def build(folder: Path) -> list[Manifest]:
    """Return what kustomize makes of a folder, but for the suffixes of the names that it makes.

    Raises ValueError for whatever in a kustomization is not known here.
    """
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    _refuse_unknown("kustomization", kustomization)
    objects: list[Manifest] = []
    for name in kustomization.get("resources", ()):
        place = folder / name
        objects += build(place) if place.is_dir() else parse(place.read_text())
    objects += [_config_map(folder, one) for one in kustomization.get("configMapGenerator", ())]
    for patch in kustomization.get("patches", ()):
        _patch(objects, patch)
    return objects


def _refuse_unknown(what: str, content: Any) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"{what}: a mapping was expected, not {content!r}")
    if unknown := set(content) - _NAMES_OF_FIELDS[what]:
        raise ValueError(
            f"{what}: {', '.join(sorted(unknown))} is not known here; teach it to tests/deploy/base.py"
        )


def _config_map(folder: Path, one: Any) -> Manifest:
    _refuse_unknown("configMapGenerator", one)
    _refuse_unknown("options", one.get("options", {}))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": one["name"], "namespace": one["namespace"]},
        "data": {Path(name).name: (folder / name).read_text() for name in one["files"]},
    }


def _patch(objects: list[Manifest], patch: Any) -> None:
    _refuse_unknown("patches", patch)
    _refuse_unknown("target", patch["target"])
    wanted = patch["target"]["kind"], patch["target"]["name"]
    steps = yaml.safe_load(patch["patch"])
    if not isinstance(steps, list):
        raise ValueError(f"the patch of {wanted} is strategic, which is not known here")
    chosen = [one for one in objects if (one["kind"], one["metadata"]["name"]) == wanted]
    # kustomize takes a target that selects nothing, and so a patch that has no effect, for well.
    if len(chosen) != 1:
        raise ValueError(f"a patch is for one object here, and {wanted} are {len(chosen)}: not known")
    for step in steps:
        _apply(chosen[0], step)


def _apply(one: Any, step: Any) -> None:
    _refuse_unknown("step", step)
    *way, last = (part.replace("~1", "/") for part in step["path"].split("/")[1:])
    for part in way:
        one = one[int(part) if isinstance(one, list) else part]
    # "replace" of what is not there is refused, as kustomize does; "add" to a list would insert.
    known = isinstance(one, dict) and (step["op"] == "add" or (step["op"] == "replace" and last in one))
    if not known:
        raise ValueError(f"{step['op']} {step['path']} is not known here, or there is nothing to replace")
    one[last] = step["value"]
