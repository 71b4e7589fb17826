"""Kubernetes objects as they are read and written: parsing, names, quantities. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from rehearsal.core.errors import HarnessError

Manifest = dict[str, Any]

PRODUCTION = "mambogo-production"
OWN_LABEL = ("app.kubernetes.io/part-of", "mambogo-rehearsal")  # of each namespace that the project brings
WORKLOADS = frozenset({"Deployment", "StatefulSet"})
_MAKE_PODS = WORKLOADS | {"DaemonSet", "Job"}
_QUANTITY = re.compile(r"^(\d+(?:\.\d+)?)(m|Ki|Mi|Gi)?$")
_MEBIBYTES = {"Ki": 1 / 1024, "Mi": 1.0, "Gi": 1024.0, None: 1 / (1024 * 1024)}


def parse(text: str) -> list[Manifest]:
    """Return the objects of a YAML stream."""
    return [one for one in yaml.load_all(text, Loader=_LOADER) if one]


def dump(objects: Iterable[Manifest]) -> str:
    """Return objects as a YAML stream; the same objects give the same text."""
    return yaml.dump_all(objects, Dumper=_DUMPER, sort_keys=False, width=1000, allow_unicode=True)


def identity(one: Manifest) -> str:
    """Return the object's kind, namespace and name, as messages show them."""
    metadata = one["metadata"]
    return f"{one['kind']} {metadata.get('namespace', '-')}/{metadata['name']}"


def pod_spec(one: Manifest) -> Manifest | None:
    """Return the pod specification of whatever makes pods; None for anything else."""
    if one["kind"] in _MAKE_PODS:
        spec: Manifest = one["spec"]["template"]["spec"]
        return spec
    return None


def containers(objects: Iterable[Manifest]) -> Iterator[Manifest]:
    """Yield the containers of everything that makes pods."""
    for one in objects:
        if (pod := pod_spec(one)) is not None:
            yield from (*pod.get("initContainers", ()), *pod["containers"])


def named(objects: Iterable[Manifest], kind: str, name: str) -> Manifest:
    """Return one object; raises HarnessError when it is not there."""
    for one in objects:
        if one["kind"] == kind and one["metadata"]["name"] == name:
            return one
    raise HarnessError(
        "MANIFEST_MISSING", f"there is no {kind} {name} in the manifests", hint="Look into k8s/base."
    )


def millicores(quantity: str | int | float) -> float:
    """Return a CPU quantity in thousandths of a core."""
    number, unit = _split(quantity)
    return number if unit == "m" else number * 1000


def mebibytes(quantity: str | int | float) -> float:
    """Return a memory quantity in MiB."""
    number, unit = _split(quantity)
    return number * _MEBIBYTES[unit]


def as_cpu(value_millicores: float) -> str:
    """Return a CPU quantity, rounded up."""
    return f"{math.ceil(value_millicores - _ROUNDING)}m"


def as_memory(value_mebibytes: float) -> str:
    """Return a memory quantity, rounded up."""
    return f"{math.ceil(value_mebibytes - _ROUNDING)}Mi"


_ROUNDING = 1e-9  # 250 * 0.08 is a little more than 20


def _split(quantity: str | int | float) -> tuple[float, str | None]:
    found = _QUANTITY.match(str(quantity))
    if found is None:
        raise HarnessError(
            "QUANTITY_UNKNOWN", f"{quantity!r} is no quantity that is used here", hint="Write m, Mi or Gi."
        )
    return float(found[1]), found[2]


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _PlainDumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # chosen at import
    """Writes texts of several lines as blocks, and nothing as a reference to something above."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, value: str) -> Any:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_PlainDumper.add_representer(str, _text)
_DUMPER = _PlainDumper
