"""Makes `harness/rehearsal/deploy/schemas.json` of what `kubernetes-validate` brings: a fifteenth of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

# API groups whose stable kinds people write manifests of.
_GROUPS = frozenset(
    {
        "",
        "apps",
        "autoscaling",
        "batch",
        "networking.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    }
)
_STABLE = frozenset({"v1", "v2"})
_ANYTHING: dict[str, Any] = {}


def pruned(version: str) -> dict[str, Any]:
    """Return the schema of every kind by apiVersion and kind, and of all that they are made of.

    Without descriptions; a status is for controllers, and is not looked at.
    """
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    defined = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    kinds = {key: name for name in sorted(defined) for key in _kinds(defined[name])}
    kept: dict[str, Any] = {}
    waiting = sorted(set(kinds.values()))
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept[name] = _bare(defined[name])
            waiting += _references(kept[name])
    return {"version": version, "kinds": kinds, "$defs": {name: kept[name] for name in sorted(kept)}}


def as_text(schemas: dict[str, Any]) -> str:
    """Return the file's text: one definition a line, so that a new version is read as a difference."""
    kinds = json.dumps(schemas["kinds"], indent=1)
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(one, separators=(',', ':'))}"
        for name, one in schemas["$defs"].items()
    )
    return f'{{"version": {json.dumps(schemas["version"])},\n"kinds": {kinds},\n"$defs": {{\n{lines}\n}}}}\n'


def _kinds(definition: dict[str, Any]) -> Iterator[str]:
    is_object = "ObjectMeta" in str(definition.get("properties", {}).get("metadata", ""))
    for one in definition.get("x-kubernetes-group-version-kind", ()) if is_object else ():
        if one["group"] in _GROUPS and one["version"] in _STABLE:
            yield f"{'/'.join(filter(None, [one['group'], one['version']]))} {one['kind']}"


def _bare(definition: Any) -> Any:
    if isinstance(definition, list):
        return [_bare(one) for one in definition]
    if not isinstance(definition, dict):
        return definition
    kept = {
        name: _bare(one)
        for name, one in definition.items()
        if not name.startswith("x-kubernetes")
        and name != "format"
        and not (name == "description" and isinstance(one, str))
    }
    if "x-kubernetes-group-version-kind" in definition and "status" in kept.get("properties", {}):
        kept["properties"]["status"] = _ANYTHING
    return kept


def _references(definition: Any) -> Iterator[str]:
    if isinstance(definition, dict):
        for name, one in definition.items():
            if name == "$ref" and isinstance(one, str):
                yield one.rpartition("/")[2]
            else:
                yield from _references(one)
    elif isinstance(definition, list):
        for one in definition:
            yield from _references(one)
