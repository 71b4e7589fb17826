"""Whether a reader takes all that a writer may send, and if not: what, where and by which rule. Pure.

Three answers. Containment is proved by `CanonicalSchema.covers`; it is refuted by a value that the writer
allows and the reader refuses. Where there is neither proof nor value it is in doubt, and a doubt is no pass.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
from jsonschema_rs import canonical

from rehearsal.contract.findings import LONGEST_CHARACTERS, told
from rehearsal.contract.samples import hints_of, samples
from rehearsal.contract.schemas import Schema, escaped

_UNIONS = ("anyOf", "oneOfNotValid")
_BRANCHES = ("anyOf", "oneOf")


@dataclass(frozen=True, slots=True)
class Misfit:
    """A rule of the reader that refuses what the writer may send."""

    pointer: str  # to where the rule applies in the reader's schema, references followed
    rule: str  # the keyword
    limit: str  # what stands there
    example: str  # a value there that is refused; empty for a field that may be missing

    @property
    def key(self) -> tuple[str, str]:
        """What makes it another misfit."""
        return self.pointer, self.rule


@dataclass(frozen=True, slots=True)
class Fit:
    """How a reader fits a writer; neither misfits nor doubt: it is proved that it does."""

    misfits: tuple[Misfit, ...]
    doubt: str = ""  # why the rest could not be decided


def fit(reader: Schema, writer: Schema) -> Fit:
    """Say what of that which `writer` allows `reader` refuses; both as `schemas.plain` makes them.

    Each rule that refuses something is taken away and the question asked again, so that one misfit does not
    hide another, and none of them hides a doubt.
    """
    found: dict[tuple[str, str], Misfit] = {}
    try:
        written = _canonical(writer)
        if written.satisfiability() == canonical.Satisfiability.NO:
            return Fit((), "the writer's schema allows no value at all")
        while _canonical(reader).covers(written) != canonical.Containment.YES:
            values = samples(writer, hints_of(reader, writer))
            # Of several values that a rule refuses the plainest, which comes first, is told.
            fresh = {one.key: one for one in reversed([*_misfits(reader, values)]) if one.key not in found}
            if not fresh:
                doubt = "neither a proof that all values are allowed nor a value that is refused was found"
                return Fit(tuple(found.values()), doubt)
            reader = copy.deepcopy(reader)
            for misfit in fresh.values():
                _loosen(reader, misfit)
            found |= fresh
    except (jsonschema_rs.ValidationError, canonical.CanonicalizationError) as error:
        return Fit(tuple(found.values()), f"it is no schema: {error}")
    return Fit(tuple(found.values()))


def said_there(schema: Schema, misfit: Misfit) -> str:
    """Return what `schema` says of a misfit of its reader: the same rule, or else all that stands there.

    Where it has no such place, or it is in a branch of a union, all of the next place above it.
    """
    there: Any = schema
    for step in misfit.pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if step in _BRANCHES or not isinstance(there, dict) or name not in there:
            return told(there)  # which branch of another union is meant, nobody can tell
        there = there[name]
    if isinstance(there, dict) and misfit.rule in there:
        return f"{misfit.rule} {told(there[misfit.rule])}"
    return told(there)


def _canonical(schema: Schema) -> jsonschema_rs.CanonicalSchema:
    # Without formats a string would be as good as a UUID.
    return jsonschema_rs.canonicalize(schema, draft=jsonschema_rs.Draft202012, validate_formats=True)


def _misfits(reader: Schema, values: Sequence[Any]) -> Iterator[Misfit]:
    validator = jsonschema_rs.Draft202012Validator(reader, validate_formats=True)
    for value in values:
        for error in validator.iter_errors(value):
            for reason in _reasons(error):
                yield from _misfits_of(reason, reader)


def _reasons(error: jsonschema_rs.ValidationError) -> Iterator[jsonschema_rs.ValidationError]:
    """Yield the error, or what is wrong in the one branch of a union that is of the value's type."""
    kind: Any = error.kind
    if kind.name in _UNIONS:
        branches = [branch for branch in kind.context if not _is_of_another_type(branch, error)]
        if len(branches) == 1:
            for inner in branches[0]:
                yield from _reasons(inner)
            return
    yield error


def _is_of_another_type(
    branch: Sequence[jsonschema_rs.ValidationError], error: jsonschema_rs.ValidationError
) -> bool:
    return any(one.kind.name == "type" and one.instance_path == error.instance_path for one in branch)


def _misfits_of(error: jsonschema_rs.ValidationError, reader: Schema) -> Iterator[Misfit]:
    kind: Any = error.kind
    instance: Any = error.instance
    *place, keyword = error.schema_path
    pointer = "".join(f"/{escaped(str(part))}" for part in place)
    rule = str(keyword)
    if kind.name == "falseSchema":  # of an object that may have no field at all; it says not which it has
        yield Misfit(f"{pointer}/{rule}", "not", "{}", _shown(instance))
        return
    match rule:
        case "required":
            yield Misfit(f"{pointer}/properties/{escaped(kind.property)}", rule, "", "")
        case "additionalProperties":
            for name in kind.unexpected:
                value = _shown(instance[name])
                yield Misfit(f"{pointer}/properties/{escaped(name)}", rule, "", value)
        case _:
            limit = told(_at(reader, place)[keyword])
            yield Misfit(pointer, rule, limit, _shown(instance))


def _loosen(schema: Schema, misfit: Misfit) -> None:
    """Take the rule out of `schema`, so that what it hides comes to light."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in misfit.pointer.split("/")[1:]]
    is_about_a_field = misfit.rule in ("required", "additionalProperties")
    owner = _at(schema, parts[:-2] if is_about_a_field else parts)
    if owner is None:
        return  # it stood in a union that was taken away whole
    if owner is False:
        _at(schema, parts[:-1])[parts[-1]] = {}
        return
    match misfit.rule:
        case "required":
            owner["required"] = [name for name in owner.get("required", ()) if name != parts[-1]]
        case "additionalProperties":
            owner.setdefault("properties", {})[parts[-1]] = {}
        case _:
            owner.pop(misfit.rule, None)


def _at(schema: Any, parts: Sequence[str | int]) -> Any:
    """Return what stands at a place, None if there is nothing."""
    for part in parts:
        try:
            schema = schema[int(part)] if isinstance(schema, list) else schema[part]
        except LookupError:
            return None
    return schema


def _shown(value: Any) -> str:
    """Return a value as a reader wants it: one too long by one is told by its length."""
    match value:
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "an object"
        case str() if len(value) > LONGEST_CHARACTERS:
            return f"a text of {len(value)} characters"
    return _cut(value)


def _cut(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, sort_keys=True)
    return text if len(text) <= LONGEST_CHARACTERS else f"{text[:LONGEST_CHARACTERS]} ..."
