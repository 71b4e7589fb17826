"""Lines of logs, as VictoriaLogs keeps them, and questions for them in its language, LogsQL.

Fields of a line that was a JSON object are its members; which pod said it is from the path of its file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import httpx
from pydantic import TypeAdapter, ValidationError

from rehearsal.core.errors import HarnessError
from rehearsal.observe.asking import ask

_STORE = "VictoriaLogs"
_NAMESPACE, _POD, _CONTAINER = "k8s.namespace.name", "k8s.pod.name", "k8s.container.name"
_TIME, _MESSAGE, _SEVERITY = "_time", "_msg", "severity"
_STREAM_FIELDS = ("_stream", "_stream_id")  # made of the three above
_MICROSECOND_DIGITS = 6  # Python's times have no more


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a container said."""

    at: datetime
    namespace: str
    pod: str
    container: str
    severity: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)  # all others


class LogStore(Protocol):
    """Where logs are kept."""

    def lines(self, question: str, limit: int) -> tuple[LogLine, ...]:
        """Return the newest lines that answer a question in LogsQL, oldest first; each once.

        Raises EnvironmentNotReadyError when the store does not answer or refuses the question.
        """


class VictoriaLogs:
    """Adapter of VictoriaLogs' API."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def lines(self, question: str, limit: int) -> tuple[LogLine, ...]:
        """See LogStore."""
        answer = ask(self._client, _STORE, "/select/logsql/query", {"query": question, "limit": str(limit)})
        # A collector that was replaced has read its files once more: what is equal in every field is one.
        texts = dict.fromkeys(answer.text.splitlines())
        return tuple(sorted((_line(text) for text in texts if text), key=lambda line: line.at))


_FIELDS = TypeAdapter(dict[str, str])


def _line(text: str) -> LogLine:
    try:
        fields = _FIELDS.validate_json(text)
        at = _time(fields[_TIME])
    except (ValidationError, KeyError, ValueError) as error:
        raise HarnessError(
            "LOGS_MALFORMED",
            f"{_STORE}'s answer is not what its API promises: {error}",
            hint="Its version and this project's belong together: `rehearsal supply list`.",
        ) from error
    own = (_TIME, _MESSAGE, _SEVERITY, _NAMESPACE, _POD, _CONTAINER, *_STREAM_FIELDS)
    return LogLine(
        at=at,
        namespace=fields.get(_NAMESPACE, ""),
        pod=fields.get(_POD, ""),
        container=fields.get(_CONTAINER, ""),
        severity=fields.get(_SEVERITY, ""),
        message=fields.get(_MESSAGE, ""),
        fields={name: value for name, value in sorted(fields.items()) if name not in own},
    )


def _time(text: str) -> datetime:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    digits = fraction[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")
    return datetime.fromisoformat(f"{whole}.{digits}").replace(tzinfo=UTC)


def of_trace(trace_id: str) -> str:
    """Return the question for all lines of a trace."""
    return f"trace_id:={_quoted(trace_id)}"


def of_requests(request_ids: Iterable[str]) -> str:
    """Return the question for all lines under one of some requests' ids."""
    return f"request_id:in({','.join(_quoted(one) for one in request_ids)})"


def of_container(container: str, *, since: str, text: str) -> str:
    """Return the question for a container's lines; all containers' without one.

    `since` is a duration in LogsQL (`15m`), `text` what the message must contain.
    """
    filters = [f"_time:{since}"]
    if container:
        filters.append(f'"{_CONTAINER}":={_quoted(container)}')
    if text:
        filters.append(f"_msg:~{_quoted(_literally(text))}")
    return " ".join(filters)


def _literally(text: str) -> str:
    # re.escape escapes blanks, too, which the store's expressions (RE2) take for a mistake.
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
