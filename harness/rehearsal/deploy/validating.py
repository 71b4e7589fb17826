"""Whether manifests are what Kubernetes takes, strictly: of a field that it does not know it says nothing.

`replica: 2` is no error to Tilt: it is dropped. So every object is held against Kubernetes' own schemas of
the pinned version before anything is applied. They lie beside this file, which needs neither a cluster nor a
network. Objects of groups that are not in them, such as those of CRDs, are left to the API server.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rehearsal.core.errors import ConfigurationError
from rehearsal.deploy.manifests import Manifest, identity, parse

SCHEMAS = Path(__file__).with_name("schemas.json")
FOLDERS = ("k8s", "tilt")  # of a checkout: where manifests are
_SHOWN = 5  # mistakes in one message


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong at one place of one object."""

    object: str  # as messages show it
    field: str
    what: str

    def __str__(self) -> str:
        return f"{self.object}: {self.field}: {self.what}"


def require_valid(objects: Iterable[Manifest], root: Path) -> None:
    """Raise ConfigurationError that names object, field and file of what Kubernetes would refuse or drop.

    `root` is the checkout in which the files are looked for.
    """
    found = [(one, mistake) for one in objects for mistake in mistakes(one)]
    if not found:
        return
    lines = [f"  {mistake}{_origin(one, root)}" for one, mistake in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"  and {len(found) - _SHOWN} more")
    raise ConfigurationError(
        "MANIFEST_INVALID",
        "Kubernetes would refuse this, or drop it without a word:\n" + "\n".join(lines),
        hint="Correct it; `rehearsal render` prints the manifests when they are well.",
    )


def mistakes(one: Manifest) -> Iterator[Mistake]:
    """Yield what Kubernetes does not know of an object, or takes in another form."""
    version, kind = str(one.get("apiVersion", "")), str(one.get("kind", ""))
    name = _schemas()["kinds"].get(f"{version} {kind}")
    if name is None:
        if _group(version) in {_group(known.partition(" ")[0]) for known in _schemas()["kinds"]}:
            yield Mistake(identity(one), "kind", f"there is no {kind} in {version}")
        return
    for error in _validator(name).iter_errors(one):
        where = ".".join(map(str, error.instance_path))
        reason: Any = error.kind
        if reason.name != "additionalProperties":
            yield Mistake(identity(one), where or "(the object)", error.message)
            continue
        for field in reason.unexpected:
            place = f"{where}.{field}" if where else field
            yield Mistake(identity(one), place, f"there is no such field{_meant(field, error)}")


def _group(version: str) -> str:
    return version.rpartition("/")[0]


def _meant(field: str, error: Any) -> str:
    schema: Any = _schemas()
    for part in error.schema_path[:-1]:
        schema = schema[part] if isinstance(part, int) else schema.get(part, {})
    close = difflib.get_close_matches(field, schema.get("properties", ()), n=1)
    return f"; {close[0]} is meant?" if close else ""


@cache
def _schemas() -> Mapping[str, Any]:
    read: dict[str, Any] = json.loads(SCHEMAS.read_text(encoding="utf-8"))
    return read


@cache
def _validator(name: str) -> Any:
    import jsonschema_rs  # most commands validate nothing

    return jsonschema_rs.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": _schemas()["$defs"]})


def _origin(one: Manifest, root: Path) -> str:
    """Return the file that an object stands in; nothing for one that is made while rendering."""
    wanted = identity(one)
    for path in sorted(path for name in FOLDERS for path in (root / name).rglob("*.yaml")):
        objects = parse(path.read_text(encoding="utf-8"))
        if wanted in map(_identity, objects):
            return f" ({path.relative_to(root)})"
    return ""


def _identity(found: Any) -> str:
    """Return what messages call an object; empty for YAML that is none."""
    metadata = found.get("metadata") if isinstance(found, dict) else None
    named = isinstance(metadata, dict) and "name" in metadata and "kind" in found
    return identity(found) if named else ""
