"""What a service publishes, writes, reads and asks: files of `contract-tests/`, held equal to its code.

A service's tests call `differences`. With MAMBOGO_WRITE_CONTRACTS set (`nox -s contracts`) the files are
written first. Whether they fit each other is the harness's question.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter
from mambogo_chassis.events import EventRegistry
from mambogo_chassis.http.app import create_app
from mambogo_chassis.service import Service
from pydantic import SecretStr

FOLDER: Final = Path(__file__).resolve().parents[4] / "contract-tests"
WRITE: Final = "MAMBOGO_WRITE_CONTRACTS"
# Of a service that is asked what it promises and never starts: nobody has to be there.
IDLE: Final[Mapping[str, Any]] = {"host": "127.0.0.1", "port": 0}
IDLE_WITH_EVENTS: Final[Mapping[str, Any]] = {
    **IDLE,
    "db_host": "127.0.0.1",
    "db_name": "none",
    "db_user": "none",
    "db_password": SecretStr("none"),
    "kafka_bootstrap_servers": "127.0.0.1:1",
}
_COMMAND: Final = "nox -s contracts"

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that a service makes, and what it reads of the answers; schemas are of its own models."""

    provider: str
    operation: str  # "GET /api/quotes"
    answers: Mapping[str, Schema]  # by status; "4XX" stands for all of its class
    parameters: Mapping[str, Schema] = field(default_factory=dict)  # by place and name: "query product_id"
    body: Schema | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """Everything that a service promises and expects."""

    service: str
    document: Mapping[str, Any]  # OpenAPI, see `document_of`
    registry: EventRegistry = field(default_factory=EventRegistry)
    calls: tuple[Call, ...] = ()


def document_of(service: Service[Any], title: str, routers: Iterable[APIRouter]) -> Mapping[str, Any]:
    """Return what a service publishes at /openapi.json; nothing of it has to run."""
    app = create_app(title=title, version=service.settings.current.version, routers=routers)
    document: Mapping[str, Any] = app.openapi()
    return document


def files_of(contract: Contract) -> dict[str, str]:
    """Return the files of a service, by their paths in `contract-tests/`.

    It writes the events that are called after it: `com.mambogo.order.placed.v1` is order-service's.
    """
    service, registry = contract.service, contract.registry
    written = {
        name: {**schema, "x-writer": service}
        for name, schema in registry.schemas("writer").items()
        if writer_of(name) == service
    }
    read = {name: schema for name, schema in registry.schemas("reader").items() if writer_of(name) != service}
    files = {f"events/{name}.schema.json": _text(schema) for name, schema in written.items()}
    files[f"openapi/{service}.json"] = _text(contract.document)
    asked = [
        {
            "provider": call.provider,
            "operation": call.operation,
            "parameters": call.parameters,
            "body": call.body,
            "answers": call.answers,
        }
        for call in contract.calls
    ]
    if read or asked:
        files[f"consumers/{service}.json"] = _text({"events": read, "calls": asked})
    return files


def writer_of(name: str) -> str:
    """Return the service that writes an event."""
    return f"{name.split('.')[2]}-service"


def differences(contract: Contract, *, folder: Path = FOLDER) -> list[str]:
    """Return how the committed files of a service differ from its code; none if they are equal."""
    files = files_of(contract)
    if os.environ.get(WRITE):
        _write(folder, files)
    found = [
        f"{path} is not what the code says: {_COMMAND}"
        for path, text in files.items()
        if _read(folder / path) != text
    ]
    return found + [
        f"{path} is no model's: remove it" for path in _left_over(contract.service, folder, files)
    ]


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def _left_over(service: str, folder: Path, files: Mapping[str, str]) -> list[str]:
    suffix = ".schema.json"
    events = [f"events/{path.name}" for path in sorted((folder / "events").glob(f"*{suffix}"))]
    own = [path for path in events if writer_of(path.removesuffix(suffix).removeprefix("events/")) == service]
    consumer = f"consumers/{service}.json"
    return [path for path in (*own, consumer) if path not in files and (folder / path).exists()]


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
