"""Who is let in by an operation, as released and as it is now. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rehearsal.contract.findings import CALLERS, Finding, text_of
from rehearsal.contract.openapi import Document, Operation, operations
from rehearsal.contract.schemas import is_annotation

_OWNERS = "those whose data it guards"
_EXPLAINS = frozenset({"bearerFormat"})

Credentials = Mapping[str, frozenset[str]]  # scopes by scheme; all are wanted


def admission(old: Operation, new: Operation) -> Iterator[Finding]:
    """Yield who is shut out now, and who is let in that was not."""
    pointer = f"{new.part.pointer}/security"
    before, after = old.security, new.security
    wanted, asked = _any_of(before), _any_of(after)
    for one in before:
        if not any(_suffices(one, another) for another in after):
            sentence = f"{_said(one)} no longer suffices, it wants {asked}"
            yield Finding(old.name, pointer, "security", sentence, CALLERS, f"it wants {wanted}", asked)
    for one in after:
        if not any(_suffices(one, another) for another in before):
            sentence = f"it now lets in whoever has {_said(one)}"
            yield Finding(old.name, pointer, "access", sentence, _OWNERS, f"it wants {wanted}", asked)


def schemes(released: Document, current: Document) -> Iterator[Finding]:
    """Yield which kinds of credentials are no longer what they were."""
    before, after = _schemes_of(released), _schemes_of(current)
    wanted = {name for one in operations(current).values() for held in one.security for name in held}
    for name, was in before.items():
        expected = text_of(_meaning(was))
        if name not in after and name not in wanted:
            continue  # who is let in without it now, each operation says
        observed = text_of(_meaning(after[name])) if name in after else "nothing"
        if observed != expected:
            become = "others now" if name in after else "wanted, and no longer described"
            sentence = f"the credentials called {name} are {become}"
            pointer = f"/components/securitySchemes/{name}"
            yield Finding("the document", pointer, "security-scheme", sentence, CALLERS, expected, observed)


def _suffices(held: Credentials, wanted: Credentials) -> bool:
    return all(scheme in held and scopes <= held[scheme] for scheme, scopes in wanted.items())


def _any_of(alternatives: tuple[Credentials, ...]) -> str:
    return " or ".join(_said(one) for one in alternatives)


def _said(credentials: Credentials) -> str:
    if not credentials:
        return "no credentials"
    return " and ".join(" ".join([scheme, *sorted(scopes)]) for scheme, scopes in sorted(credentials.items()))


def _schemes_of(document: Document) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = document.get("components", {}).get("securitySchemes", {})
    return found


def _meaning(scheme: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in scheme.items() if key not in _EXPLAINS and not is_annotation(key)}
