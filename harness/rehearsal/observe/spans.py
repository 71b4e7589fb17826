"""Spans of one trace, as Zipkin keeps them (https://zipkin.io/zipkin-api/)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol

import httpx
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rehearsal.core.errors import HarnessError
from rehearsal.observe.asking import ask

_STORE = "Zipkin"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAILED = "error"  # the tag that says so, whatever its value


@dataclass(frozen=True, slots=True)
class Span:
    """One service's part of a trace."""

    id: str
    parent_id: str  # empty for a root
    service: str
    kind: str  # server, client, producer, consumer; empty for another
    name: str
    started: datetime
    seconds: float
    failed: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


class SpanStore(Protocol):
    """Where spans are kept."""

    def spans(self, trace_id: str) -> tuple[Span, ...]:
        """Return a trace's spans by their start; empty for a trace that is not there.

        Raises EnvironmentNotReadyError when the store does not answer.
        """


class Zipkin:
    """Adapter of Zipkin's API."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def spans(self, trace_id: str) -> tuple[Span, ...]:
        """See SpanStore."""
        answer = ask(self._client, _STORE, f"/api/v2/trace/{trace_id}", {})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return ()
        try:
            found = _SPANS.validate_json(answer.content)
        except ValidationError as error:
            raise HarnessError(
                "SPANS_MALFORMED",
                f"{_STORE}'s answer is not what its API promises: {error}",
                hint="Its version and this project's belong together: `rehearsal supply list`.",
            ) from error
        return tuple(sorted((one.span() for one in found), key=lambda span: span.started))


class _Endpoint(BaseModel):
    service: Annotated[str, Field(alias="serviceName")] = ""


class _ZipkinSpan(BaseModel):
    """A span as Zipkin's second API writes it; times are microseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    parent: Annotated[str, Field(alias="parentId")] = ""
    kind: str = ""
    name: str = ""
    timestamp: int = 0
    duration: int = 0
    endpoint: Annotated[_Endpoint, Field(alias="localEndpoint")] = _Endpoint()
    tags: dict[str, str] = {}

    def span(self) -> Span:
        """Return it in this module's terms."""
        return Span(
            id=self.id,
            parent_id=self.parent,
            service=self.endpoint.service,
            kind=self.kind.lower(),
            name=self.name,
            started=_EPOCH + timedelta(microseconds=self.timestamp),
            seconds=self.duration / 1_000_000,
            failed=_FAILED in self.tags,
            attributes=self.tags,
        )


_SPANS = TypeAdapter(list[_ZipkinSpan])


def arranged(spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """Yield each span once, with its depth, below its parent; siblings by their start.

    A span whose parent is not there stands at the top: that of the first is a client, which records nothing.
    """
    known = {span.id for span in spans}
    below: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda one: one.started):
        below.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    seen: set[str] = set()
    waiting = [(0, span) for span in reversed(below.get("", ()))]
    while waiting:
        depth, span = waiting.pop()
        if span.id not in seen:
            seen.add(span.id)
            yield depth, span
            waiting += [(depth + 1, one) for one in reversed(below.get(span.id, ()))]
    # Spans that are each other's parents are nobody's children; they are shown nevertheless.
    yield from ((0, span) for span in spans if span.id not in seen)
