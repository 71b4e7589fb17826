"""Breaks of the committed OpenAPI documents, each at an operation that is drawn over all services.

A schema that operations share is written out at the drawn operation first: what is broken is broken there
only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from rehearsal.detection.model import Cause, Family, Planted, PlantError

AREA: Final = "contracts"
FOLDER: Final = Path("contract-tests", "openapi")
_CHECKS: Final = frozenset({"contract.breaking", "contract.consumers"})
_JSON: Final = "application/json"
_OTHER_TYPE: Final = {"integer": "string", "string": "integer", "boolean": "string"}

Json = dict[str, Any]


@dataclass(slots=True)
class Site:
    """An operation of a parsed document."""

    document: Json
    path: str
    method: str

    @property
    def operation(self) -> Json:
        """What the document says of it."""
        found: Json = self.document["paths"][self.path][self.method]
        return found

    @property
    def name(self) -> str:
        """As people write it."""
        return f"{self.method.upper()} {self.path}"

    def body(self) -> Json | None:
        """Return the schema of its JSON body, of its own from here on."""
        content = self.operation.get("requestBody", {}).get("content", {})
        return written_out(self.document, content[_JSON], "schema") if _JSON in content else None

    def answers(self) -> Iterator[tuple[str, Json]]:
        """Yield the schema of each answer of success that is an object, of its own from here on."""
        for status, answer in self.operation["responses"].items():
            content = answer.get("content", {})
            if status.startswith("2") and _JSON in content:
                schema = written_out(self.document, content[_JSON], "schema")
                if "properties" in schema:
                    yield status, schema


Break = Callable[[Site, Random], str | None]


def written_out(document: Json, holder: Json, key: str) -> Json:
    """Put what `holder[key]` refers to in its place and return it."""
    while "$ref" in holder[key]:
        at: Any = document
        for part in holder[key]["$ref"].removeprefix("#/").split("/"):
            at = at[part]
        holder[key] = deepcopy(at)
    found: Json = holder[key]
    return found


def removed(site: Site, random: Random) -> str | None:
    """Take the operation away."""
    del site.document["paths"][site.path][site.method]
    return "taken away"


def parameter_wanted(site: Site, random: Random) -> str | None:
    """Want a parameter that nobody sends."""
    parameter = {"name": "region", "in": "query", "required": True, "schema": {"type": "string"}}
    site.operation.setdefault("parameters", []).append(parameter)
    return "a new required query parameter, region"


def field_wanted(site: Site, random: Random) -> str | None:
    """Want a field of the body that nobody sends."""
    body = site.body()
    if body is None or "properties" not in body:
        return None
    body["properties"]["region"] = {"type": "string"}
    body["required"] = [*body.get("required", []), "region"]
    return "a new required field of the body, region"


def field_refused(site: Site, random: Random) -> str | None:
    """Refuse a field of the body that was taken."""
    body = site.body()
    if body is None or body.get("additionalProperties") is not False:
        return None
    name = random.choice(sorted(body["properties"]))
    _take_out(body, name)
    return f"the body's field {name} refused"


def field_narrowed(site: Site, random: Random) -> str | None:
    """Take half of what a field of the body may be."""
    body = site.body()
    places = [] if body is None else list(_bounded(body, "maximum", "maxLength", "maxItems"))
    if not places:
        return None
    name, schema, bound = random.choice(places)
    schema[bound] = int(schema[bound]) // 2
    return f"the body's {name} bounded by half: {bound} {schema[bound]}"


def answer_lost(site: Site, random: Random) -> str | None:
    """Leave out a field of the answer that was always there."""
    return _of_answer(site, random, lambda schema, name: bool(_take_out(schema, name)), "no longer answered")


def answer_of_other_type(site: Site, random: Random) -> str | None:
    """Answer a field in another type."""

    def change(schema: Json, name: str) -> bool:
        given = schema["properties"][name]
        if given.get("type") not in _OTHER_TYPE:
            return False
        schema["properties"][name] = {"type": _OTHER_TYPE[given["type"]]}
        return True

    return _of_answer(site, random, change, "answered in another type")


def answer_may_miss(site: Site, random: Random) -> str | None:
    """Make a field of the answer one that may be missing."""

    def change(schema: Json, name: str) -> bool:
        schema["required"] = [one for one in schema["required"] if one != name]
        return True

    return _of_answer(site, random, change, "optional in the answer")


def status_changed(site: Site, random: Random) -> str | None:
    """Succeed with another status."""
    answers = site.operation["responses"]
    status = random.choice(sorted(one for one in answers if one.startswith("2")))
    other = "202" if status != "202" else "200"
    if other in answers:
        return None
    answers[other] = answers.pop(status)
    return f"{other} instead of {status}"


def scope_wanted(site: Site, random: Random) -> str | None:
    """Want a right that no client has."""
    if not site.operation.get("security"):
        return None
    for alternative in site.operation["security"]:
        for scopes in alternative.values():
            scopes.append("audit:read")
    return "the scope audit:read wanted besides"


def left_open(site: Site, random: Random) -> str | None:
    """Let in whoever comes."""
    return "anybody let in" if site.operation.pop("security", None) else None


_BREAKS: Final[tuple[tuple[str, str, Break], ...]] = (
    ("openapi-operation-removed", "one operation", removed),
    ("openapi-parameter-wanted", "one required query parameter more", parameter_wanted),
    ("openapi-field-wanted", "one required field of a body more", field_wanted),
    ("openapi-field-refused", "one field of a body less", field_refused),
    ("openapi-field-narrowed", "half of one bound of a body", field_narrowed),
    ("openapi-answer-lost", "one field of an answer less", answer_lost),
    ("openapi-answer-type", "another type of one field of an answer", answer_of_other_type),
    ("openapi-answer-optional", "one field of an answer optional", answer_may_miss),
    ("openapi-status", "another status of success", status_changed),
    ("openapi-scope-wanted", "one scope more", scope_wanted),
    ("openapi-left-open", "no credentials wanted", left_open),
)


def families() -> tuple[Family, ...]:
    """Return a family for each kind of break."""
    return tuple(
        Family(name, AREA, magnitude, "inspect", partial(plant, made=made))
        for name, magnitude, made in _BREAKS
    )


def plant(root: Path, random: Random, made: Break) -> Planted:
    """Make a break at an operation drawn from all committed documents that it is possible at."""
    sites = [
        (path, where, method)
        for path in sorted((root / FOLDER).glob("*.json"))
        for where, item in sorted(_read(path)["paths"].items())
        for method in sorted(item)
    ]
    for path, where, method in random.sample(sites, len(sites)):
        site = Site(_read(path), where, method)
        if said := made(site, random):
            write(path, site.document)
            return Planted(f"{path.stem} {site.name}: {said}", Cause(_CHECKS, (path.stem, site.name)))
    raise PlantError(made.__name__, "no operation of any document has what it breaks")


def write(path: Path, document: Json) -> None:
    """Write a document as it is committed."""
    path.write_text(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


def _read(path: Path) -> Json:
    found: Json = json.loads(path.read_text("utf-8"))
    return found


def _take_out(schema: Json, name: str) -> Json:
    schema["required"] = [one for one in schema.get("required", []) if one != name]
    found: Json = schema["properties"].pop(name)
    return found


def _bounded(schema: Json, *bounds: str) -> Iterator[tuple[str, Json, str]]:
    """Yield properties with an upper bound, the properties themselves and the bound's keyword."""
    for name, one in sorted(schema.get("properties", {}).items()):
        for bound in bounds:
            if one.get(bound, 0) > 1:
                yield name, one, bound


def _of_answer(site: Site, random: Random, change: Callable[[Json, str], bool], what: str) -> str | None:
    answers = [(status, schema) for status, schema in site.answers() if schema.get("required")]
    if not answers:
        return None
    status, schema = random.choice(answers)
    names = sorted(schema["required"])
    for name in random.sample(names, len(names)):
        if change(schema, name):
            return f"{name} of its {status} {what}"
    return None
