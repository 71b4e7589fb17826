"""An OpenAPI document as the operations that it promises. Pure; comparing them is done elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.contract.schemas import escaped, resolve

Document = Mapping[str, Any]
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a document, and where it stands; references in it are to be followed in `document`."""

    document: Document
    pointer: str
    content: Mapping[str, Any]

    @property
    def schema(self) -> Part:
        """The schema of a parameter, a header or a media type; without one, anything goes."""
        content = self.content.get("schema", True)
        if isinstance(content, bool):
            content = {} if content else {"not": {}}
        return Part(self.document, f"{self.pointer}/schema", content)

    def part(self, name: str) -> Part | None:
        """Return what stands below under `name`, its reference followed."""
        if name not in self.content:
            return None
        content = resolve(self.content[name], self.document)
        return Part(self.document, f"{self.pointer}/{escaped(name)}", content)

    def parts(self, name: str) -> Mapping[str, Part]:
        """Return all that stands below `name`, by its keys."""
        group = self.part(name)
        if group is None:
            return {}
        found = {key: group.part(key) for key in group.content}
        return {key: part for key, part in found.items() if part is not None}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation; keys of parameters are equal whatever a path's parts are called."""

    name: str  # for people
    part: Part
    parameters: Mapping[tuple[str, str], Part]

    @property
    def security(self) -> tuple[dict[str, frozenset[str]], ...]:
        """Who is let in: any of these sets of credentials, each with its scopes; an empty one is anybody."""
        wanted = self.part.content.get("security", self.part.document.get("security", []))
        return tuple({name: frozenset(scopes) for name, scopes in one.items()} for one in wanted or [{}])


def operations(document: Document) -> dict[tuple[str, str], Operation]:
    """Return a document's operations, by method and path, a path's parts without their names."""
    paths = Part(document, "", document).parts("paths")
    return {
        (method, re.sub(r"\{[^}]*\}", "{}", path)): _operation(method, path, item, part)
        for path, item in paths.items()
        for method in METHODS
        if (part := item.part(method)) is not None
    }


def _operation(method: str, path: str, item: Part, part: Part) -> Operation:
    parameters = {**dict(_parameters(item, path)), **dict(_parameters(part, path))}
    return Operation(f"{method.upper()} {path}", part, parameters)


def _parameters(owner: Part, path: str) -> Iterator[tuple[tuple[str, str], Part]]:
    names = re.findall(r"\{([^}]*)\}", path)
    for index, raw in enumerate(owner.content.get("parameters", [])):
        content = resolve(raw, owner.document)
        place, name = content["in"], content["name"]
        # Header names do not care for case; what a part of the path is called is nowhere in a request.
        key = name.lower() if place == "header" else str(names.index(name)) if place == "path" else name
        yield (place, key), Part(owner.document, f"{owner.pointer}/parameters/{index}", content)
