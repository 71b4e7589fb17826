"""A release copies documents and expectations, and keeps every schema of an event that was ever released."""

from __future__ import annotations

import json
from pathlib import Path

from rehearsal.contract.releasing import release

EVENT = "com.mambogo.order.placed.v1"


def _write(root: Path, name: str, version: int) -> None:
    path = root / "contract-tests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": version}), encoding="utf-8")


def _versions(root: Path, pattern: str) -> dict[str, int]:
    folder = root / "contract-tests" / "released"
    found = sorted(folder.glob(pattern))
    return {str(path.relative_to(folder)): json.loads(path.read_text())["version"] for path in found}


def test_documents_are_those_of_the_last_release(tmp_path: Path) -> None:
    for version in (1, 2):
        _write(tmp_path, "openapi/order-service.json", version)
        _write(tmp_path, "consumers/cart-service.json", version)
        release(tmp_path)

    assert _versions(tmp_path, "*/*.json") == {
        "consumers/cart-service.json": 2,
        "openapi/order-service.json": 2,
    }


def test_each_schema_of_an_event_is_kept_once(tmp_path: Path) -> None:
    for version in (1, 2, 2, 3):
        _write(tmp_path, f"events/{EVENT}.schema.json", version)
        release(tmp_path)

    kept = _versions(tmp_path, f"events/{EVENT}/*.json")
    assert list(kept.values()) == [1, 2, 3]


def test_service_that_is_gone_is_released_as_gone(tmp_path: Path) -> None:
    _write(tmp_path, "openapi/order-service.json", 1)
    release(tmp_path)
    (tmp_path / "contract-tests" / "openapi" / "order-service.json").unlink()

    assert release(tmp_path) == ["released/openapi/order-service.json"]
    assert _versions(tmp_path, "openapi/*.json") == {}


def test_nothing_new_changes_nothing(tmp_path: Path) -> None:
    _write(tmp_path, f"events/{EVENT}.schema.json", 1)
    _write(tmp_path, "openapi/order-service.json", 1)
    release(tmp_path)

    assert release(tmp_path) == []
