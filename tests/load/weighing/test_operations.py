"""What is weighed is what the services publish."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rehearsal.load.weighing.operations import OPERATIONS, SERVICES, Goods, Operation, of

DOCUMENTS = Path(__file__).resolve().parents[3] / "contract-tests" / "openapi"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_operation_is_in_its_service_s_document(operation: Operation) -> None:
    document = json.loads((DOCUMENTS / f"{operation.service}.json").read_text("utf-8"))
    assert operation.method.lower() in document["paths"][operation.path]


def test_every_service_with_a_document_of_its_own_is_weighed() -> None:
    published = {path.stem for path in DOCUMENTS.glob("*-service.json")}
    assert set(SERVICES) == published - {"gateway-service"}
    assert sorted(one.name for name in SERVICES for one in of(name)) == sorted(one.name for one in OPERATIONS)


def test_ids_stand_in_path_and_query() -> None:
    goods = Goods("p", "s", "o", "y")
    assert [one.url(goods) for one in OPERATIONS if one.service == "payment-service"] == [
        "/api/payments?order_id=o",
        "/api/payments/y",
    ]
